"""The documentation names everything there is: commands, options, settings, endpoints, columns.

`python tests/acceptance/test_docs.py` writes what is generated in docs/cli.md anew.
"""

import os
import re
from pathlib import Path

import pytest

from omnikeywords.cli import help_pages
from omnikeywords.formats.write import OBSERVED_FIELDS
from omnikeywords.settings import TABLE, settings_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MARK = "<!-- from here on: python tests/acceptance/test_docs.py -->\n"


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def cli_page() -> str:
    """docs/cli.md as it should be."""
    written = read(DOCS / "cli.md").partition(MARK)[0]
    pages = (f"### `{name}`\n\n```\n{text}\n```\n" for name, text in help_pages().items())
    return written + MARK + "\n" + "\n".join(pages)


def test_the_help_in_the_documentation_is_the_help_of_the_program() -> None:
    assert read(DOCS / "cli.md") == cli_page(), "run: python tests/acceptance/test_docs.py"


COMMANDS = {name.removeprefix("okf ") for name in help_pages()} - {"okf"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_documented(command: str) -> None:
    assert f"### `okf {command}`" in read(DOCS / "cli.md")


def test_every_setting_is_documented() -> None:
    assert read(DOCS / "settings.md") == settings_page()
    assert all(f"`{setting.name}`" in settings_page() for setting in TABLE)


def test_no_page_names_a_setting_that_is_not_there() -> None:
    known = {setting.name for setting in TABLE}
    pages = [*DOCS.glob("*.md"), *ROOT.glob("README*.md"), ROOT / "ARCHITECTURE.md"]
    for page in pages:
        for name in re.findall(r"`(OKF_[A-Z_]+[A-Z])[`=]", read(page)):
            assert name.removesuffix("_FILE") in known | {"OKF_EVAL_DATA"}, f"{name} in {page.name}"


def test_every_column_of_results_is_documented() -> None:
    from omnikeywords.bulk import result_columns
    from omnikeywords.finder import Finder
    from omnikeywords.settings import Settings

    text = read(DOCS / "cli.md").partition("## What is written")[2].partition("\n## ")[0]
    columns = result_columns(Finder(Settings.load(os.environ)).options())
    assert {*OBSERVED_FIELDS} < {*columns}
    assert [name for name in columns if f"`{name}`" not in text] == []


def test_every_command_named_in_the_documentation_exists() -> None:
    for page in [*DOCS.glob("*.md"), *ROOT.glob("README*.md")]:
        for block in re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", read(page), re.DOTALL):
            for name in re.findall(r"^\s*(?:\$ )?okf ([a-z]+)", "".join(block), re.MULTILINE):
                assert name in COMMANDS, f"okf {name} in {page.name}"


if __name__ == "__main__":
    (DOCS / "cli.md").write_text(cli_page(), encoding="utf-8")
