"""The corpus benchmark: `python infra/benchmarks/corpus/run.py --data FOLDER [SECTION ...]`.

Writes infra/benchmarks/corpus.json, a list of rows; a section that is run alone replaces its own rows only. What was
installed for the peers stays in the work folder, so that a second run starts at once.
"""

import argparse
import datetime
from importlib import import_module
from pathlib import Path

from bench import ROOT, Bench, Row, merged

SECTIONS = (
    "ingest",
    "filters",
    "minhash",
    "parity_datatrove",
    "parity_curator",
    "parity_dolma",
    "contamination",
    "choices",
    "warc_to_dedup",
    "scaling",
    "groupby",
    "dedup",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all without one")
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of warc/ and domains/"
    )
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "sirdar" / "bench", help="scratch folder")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the inputs, for a quick look")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(chosen.data, chosen.work, chosen.repeats, chosen.scale)
    for section in chosen.sections or SECTIONS:
        rows: list[Row] = []
        for row in import_module(f"bench_{section}").measure(bench):
            rows.append(row)
            print(told(row), flush=True)
        merged(ROOT / "infra" / "benchmarks" / "corpus.json", rows, datetime.date.today().isoformat())


def told(row: Row) -> str:
    ours, peer, ratio = (f"{value:.4g}" if value is not None else "" for value in (row.ours, row.peer, row.ratio))
    reached = {True: "reached", False: "MISSED", None: ""}[row.reached]
    return f"{row.name:45} {ours:>10} {peer:>10} {row.unit:12} {ratio:>8} {row.must:>10} {reached}"


if __name__ == "__main__":
    main()
