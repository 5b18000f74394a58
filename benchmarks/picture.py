"""Draw what `okf analyze --sample` prints on a terminal as docs/summary.svg, for README.

python benchmarks/picture.py
"""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100
PICTURE = Path(__file__).parents[1] / "docs" / "summary.svg"


def on_a_terminal(command: list[str]) -> str:
    """What a command prints on a terminal of its own."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    environment["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{environment['PATH']}"  # called by its name
    with subprocess.Popen(command, stdout=child, stderr=subprocess.DEVNULL, env=environment) as process:
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


def main() -> None:
    command = ["okf", "analyze", "--sample"]
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text("$ " + " ".join(command), style="bold"))
    console.print(Text.from_ansi(on_a_terminal([str(Path(sys.executable).with_name("okf")), *command[1:]])))
    svg = console.export_svg(title="okf analyze --sample")
    # The picture must load nothing: readers' own monospace font will do.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace")
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
