"""The mixture benchmark: `python infra/benchmarks/mixer/run.py --data FOLDER [--seeds N] [SECTION ...]`.

Writes infra/benchmarks/mixer.json, a list of rows; a section that is run alone replaces its own rows only. Figures of
single seeds are kept in the work folder, so that a run goes on where it ended, and one with more seeds adds to them.
"""

import argparse
import datetime
import os
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from cells import ROOT, Bench, Row, merged

SECTIONS = ("regmix", "predictors", "planted", "search", "fidelity")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all without one")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of tables/")
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "sirdar" / "bench", help="scratch folder")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=ROOT / "infra" / "benchmarks" / "mixer.json")
    chosen = parser.parse_args()
    bench = Bench(chosen.data, chosen.work, chosen.seeds)
    for section in chosen.sections or SECTIONS:
        rows: list[Row] = []
        for row in import_module(f"bench_{section}").measure(bench):
            rows.append(row)
            print(told(row), flush=True)
        merged(chosen.out, rows, datetime.date.today().isoformat())


def told(row: Row) -> str:
    value, spread = (f"{number:.4f}" if number is not None else "" for number in (row.value, row.spread))
    return f"{row.name:70} {value:>10} {row.unit:18} +- {spread:>8} {dict(row.notes) or ''}"


if __name__ == "__main__":
    main()
