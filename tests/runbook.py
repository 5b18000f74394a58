"""The commands of the documentation, so that tests run those that people follow."""

import re
import textwrap
from pathlib import Path

__all__ = ["commands"]

_DOCS = Path(__file__).parents[1] / "docs"


def commands(page: str, heading: str) -> str:
    """Every block of commands under a heading of a page, one after the other."""
    section = (_DOCS / page).read_text(encoding="utf-8").partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    assert blocks, f"no commands under {heading!r}"
    return "\n".join(textwrap.dedent(text) for _, text in blocks)
