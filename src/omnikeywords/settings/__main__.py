"""Prints docs/settings.md."""

import sys

from omnikeywords.settings import settings_page

sys.stdout.write(settings_page())
