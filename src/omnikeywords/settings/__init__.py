"""The settings: one table, read from the environment once, at start.

Every setting is an `OKF_` variable; `NAME_FILE` names a file that holds the value instead, as mounted
secrets do. An `OKF_` name that is not in the table is refused, so that a slip of the pen is not silently a
default. `okf settings` prints the table, and `python -m omnikeywords.settings` prints docs/settings.md.

Callers see `Settings.load`; the package hides how texts become values, and what defaults depend on.
"""

from omnikeywords.settings.machine import available_cores, available_memory, default_data_dir
from omnikeywords.settings.settings import Settings, SettingValue, hide_password, settings_page
from omnikeywords.settings.table import TABLE, Setting
from omnikeywords.settings.values import KeyLimit

__all__ = [
    "TABLE",
    "KeyLimit",
    "Setting",
    "SettingValue",
    "Settings",
    "available_cores",
    "available_memory",
    "default_data_dir",
    "hide_password",
    "settings_page",
]
