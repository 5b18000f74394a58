"""Imports killed with SIGKILL, 200 times at a time uniform over the run and 10 times at each named point; after each
kill the import goes on, and what it leaves is held equal, row for row, to what an import leaves that nobody killed. The
same of the erasure of a project that was deleted, at each point that it passes.

    python benchmarks/bench_crash.py [--kills 200] [--each 10] [--seed 1]

Half of the kills hit `okf import`, half a processor; three of four on SQLite, the others on PostgreSQL 15. The first
difference ends the run with what differs. A process that ended before it could be killed does not count.
"""

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from figure import Figure, report

from tests.crash.test_import_crashes import ERASING, POINTS, Proof, proving


def at_any_time(proof: Proof, kills: int, dice: random.Random) -> Counter[str]:
    """Kill so many imports; returns how many were hit in each phase."""
    phases: Counter[str] = Counter()
    for number in range(kills):
        kind = "postgresql" if number % 4 == 3 else "sqlite"
        by = "processor" if number % 8 >= 4 else "import"
        phases[proof.killed_at_random(kind, by, dice)] += 1
        print(f"\r{number + 1} of {kills} killed at any time", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return phases


def at_points(proof: Proof, each: int) -> Counter[str]:
    """Kill so many imports at each point; returns how many were hit at each."""
    hit: Counter[str] = Counter()
    for point, passage in POINTS.items():
        for number in range(each):
            kind = "postgresql" if number % 5 == 4 else "sqlite"
            # The first passage and a later one; what the command passes once before, a processor does not pass.
            by = "import" if number % 2 or point.startswith("jobs.") else "processor"
            passed = 1 if number % 4 < 2 else passage
            proof.killed(kind, by=by, at=f"{point}:{passed}")
            hit[point] += 1
        print(f"killed at {point}, {each} times", file=sys.stderr)
    return hit


def erasing(proof: Proof, each: int) -> Counter[str]:
    """Kill so many erasures at each point; returns how many were hit at each."""
    hit: Counter[str] = Counter()
    left = {kind: proof.erased(kind, of="project") for kind in ("sqlite", "postgresql")}
    for point, passage in ERASING.items():
        for number in range(each):
            kind = "postgresql" if number % 5 == 4 else "sqlite"
            by = "command" if number % 2 else "processor"
            at = f"{point}:{1 if number % 4 < 2 else passage}"
            if proof.erased(kind, of="project", at=at, by=by) != left[kind]:
                raise AssertionError(f"killed at {at} on {kind}, an erasure leaves something else")
            hit[point] += 1
        print(f"erasures killed at {point}, {each} times", file=sys.stderr)
    return hit


def main() -> int:
    parser = argparse.ArgumentParser(description="Imports killed at any moment.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with proving() as proof:
        points = at_points(proof, arguments.each)
        erased = erasing(proof, arguments.each)
        phases = at_any_time(proof, arguments.kills, random.Random(arguments.seed))
    figures = [Figure(f"killed in phase {phase}", count, unit="imports") for phase, count in sorted(phases.items())]
    figures += [Figure(f"killed at {point}", count, unit="imports") for point, count in points.items()]
    figures += [Figure(f"erasures killed at {point}", count, unit="erasures") for point, count in erased.items()]
    figures.append(Figure("killed at any time and whole", phases.total(), at_least=200, unit="imports"))
    figures.append(
        Figure("killed at a named point and whole", min(*points.values(), *erased.values()), at_least=10, unit="each")
    )
    return 0 if report("crash", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
