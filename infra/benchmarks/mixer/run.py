"""The mixture benchmark: `python infra/benchmarks/mixer/run.py --data FOLDER [--seeds N] [SECTION ...]`.

Writes infra/benchmarks/mixer.json, a list of rows; a section that is run alone replaces its own rows only. Figures of
single seeds and every training are kept in the work folder, so that a run goes on where it ended, says what it had,
and one with more seeds adds to them. On two cores all of it takes some two hours.
"""

import argparse
import datetime
import os
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from cells import ROOT, Bench, Row, merged

# Seeds of each: splits of tables, searches. Real trainings have as many as bench_real.py and bench_transfer.py say.
SECTIONS = {
    "regmix": 1,
    "predictors": 20,
    "search": 200,
    "planted": 200,
    "phases": 20,
    "fidelity": 50,
    "transfer": 1,
    "real": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all without one")
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of tables/, domains/, evals/"
    )
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "sirdar" / "bench", help="scratch folder")
    parser.add_argument("--seeds", type=int, help="instead of each section's own number")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "infra" / "benchmarks" / "mixer.json")
    chosen = parser.parse_args()
    for section in chosen.sections or SECTIONS:
        bench = Bench(chosen.data, chosen.work, chosen.seeds or SECTIONS[section], chosen.processes)
        rows: list[Row] = []
        for row in import_module(f"bench_{section}").measure(bench):
            rows.append(row)
            print(told(row), flush=True)
        merged(chosen.out, rows, datetime.date.today().isoformat())
        print(
            f"{section}: {bench.num_made:,} figures made, {bench.num_known:,} known from before and skipped", flush=True
        )


def told(row: Row) -> str:
    value, spread = (f"{number:.4f}" if number is not None else "" for number in (row.value, row.spread))
    return f"{row.name:70} {value:>10} {row.unit:18} +- {spread:>8} {dict(row.notes) or ''}"


if __name__ == "__main__":
    main()
