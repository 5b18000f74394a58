"""Print every quality figure against its bound: language, intent, near-duplicates.

    python benchmarks/quality.py --data DIR [--only language intent duplicates]

DIR holds the evaluation sets that docs/quality.md names. Exits 1 where a bound is missed.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import quality_duplicates
import quality_intent
import quality_language
from figure import Figure, report

PARTS = {"language": quality_language.run, "intent": quality_intent.run, "duplicates": quality_duplicates.run}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("OKF_EVAL_DATA"), help="folder of the evaluation sets"
    )
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="measure these alone")
    arguments = parser.parse_args()
    if arguments.data is None or not Path(arguments.data).is_dir():
        parser.error("name the folder of the evaluation sets with --data or OKF_EVAL_DATA")
    reached = True
    for part in arguments.only:
        print(f"\n{part}")
        figures = [Figure(*row) if not isinstance(row, Figure) else row for row in PARTS[part](Path(arguments.data))]
        reached &= report(f"quality_{part}", figures)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
