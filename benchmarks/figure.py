"""A measured figure with its bound, printed as a table and kept as JSON with machine and commit."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["RESULTS", "Figure", "report"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured and what it must reach; a bound of None means that it is only reported."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the value keeps both bounds."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "../src"], capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def report(name: str, figures: Sequence[Figure], keep: bool = True) -> bool:
    """Print the figures, write `results/<name>.json` if they are to be kept, and say whether all bounds are kept."""
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        bound = "".join(
            f"  {sign} {limit:g}"
            for sign, limit in (("≥", figure.at_least), ("≤", figure.at_most))
            if limit is not None
        )
        mark = "     " if not bound else "ok   " if figure.reached else "MISS "
        print(f"{mark}{figure.name:<{width}}  {figure.value:>12,.4g} {figure.unit:<12}{bound}  {figure.note}".rstrip())
    reached = all(figure.reached for figure in figures)
    if not keep:
        return reached
    RESULTS.mkdir(exist_ok=True)
    record = {
        "benchmark": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": machine(),
        "figures": [asdict(figure) | {"reached": figure.reached} for figure in figures],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return reached
