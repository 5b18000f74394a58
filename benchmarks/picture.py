"""Draw what `okf` prints on a terminal as pictures in docs/, for README.

python benchmarks/picture.py
"""

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100
DOCS = Path(__file__).parents[1] / "docs"
OKF = Path(sys.executable).with_name("okf")
PICTURES = {
    "summary.svg": ["okf analyze --sample"],
    "catalogue.svg": [
        "okf import Queries.csv --project shoes --market pt-PT --date 2026-05",
        "okf keywords --project shoes --intent transactional --min-clicks 2 --sort opportunity --limit 8",
    ],
}


def on_a_terminal(command: list[str], folder: Path) -> str:
    """What a command prints on a terminal of its own, with a catalogue in `folder`."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    environment["PATH"] = f"{OKF.parent}{os.pathsep}{environment['PATH']}"  # called by its name
    environment["OKF_DATABASE_URL"] = f"sqlite:///{folder}/catalogue.sqlite3"
    with subprocess.Popen(
        [str(OKF), *command[1:]], stdout=child, stderr=subprocess.DEVNULL, env=environment, cwd=folder
    ) as process:
        os.close(child)
        printed = b""
        while True:
            try:
                block = os.read(parent, 65536)
            except OSError:  # Linux says EIO where the other side is closed
                break
            if not block:
                break
            printed += block
        if process.wait():
            raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    os.close(parent)
    return printed.decode().replace("\r\n", "\n")


def draw(picture: Path, commands: list[str]) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    with tempfile.TemporaryDirectory() as name:
        sample = on_a_terminal(["okf", "sample"], Path(name)).strip()
        shutil.copy(sample, name)
        for command in commands:
            console.print(Text("$ " + command, style="bold"), soft_wrap=True)
            console.print(Text.from_ansi(on_a_terminal(command.split(), Path(name))))
    svg = console.export_svg(title=commands[0])
    # The picture must load nothing: readers' own monospace font will do.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace")
    picture.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def main() -> None:
    for name, commands in PICTURES.items():
        draw(DOCS / name, commands)


if __name__ == "__main__":
    main()
