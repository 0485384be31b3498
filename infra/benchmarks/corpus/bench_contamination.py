"""Tests' n-grams in documents on one core: texts in memory to columns, and which documents both programs accuse.

The pages are those of the crawl file, every twentieth with an item of a test in its middle; the tests are all of
`evals/`. Both look for 13 words in a row of an item's question and right answer, nothing shorter.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bench import ROOT, Bench, Row
from bench_minhash import texts

sys.path.insert(0, str(ROOT))

PAGES = 2_000  # the first of the crawl file
STEP = 7  # the peer takes every so many of them
PLANTED = 20  # every so many pages hold an item


def measure(bench: Bench) -> Iterator[Row]:
    """Two rows: pages a second against datatrove's filter, and the agreement of the two on the same pages."""
    pages, items = bench.work / "contamination.parquet", bench.work / "contamination_items.json"
    planted = _write(bench, pages, items)
    python, script = bench.peer("datatrove"), "peer_contamination.py"

    def ours() -> dict[str, Any]:
        return bench.run(sys.executable, "ours_contamination.py", pages, bench.data / "evals")

    pairs = bench.in_turn(ours, lambda: bench.run(python, script, pages, items, STEP))
    yield pairs.row(
        "contamination", "pages/s", 20,
        ours="columns with every span, item and share; each process learns its vocabulary anew",
        peer="datatrove 0.10.1: NGramsDecontFilter, n = 13, up to the first hit of a page",
        peer_n=pairs.peer[0]["n"], megabytes=round(pairs.ours[0]["bytes"] / 1e6, 1),
        megabytes_a_second=round(pairs.ours[0]["bytes"] / pairs.ours[0]["seconds"] / 1e6, 1),
    )  # fmt: skip
    theirs, mine = set(pairs.peer[0]["found"]), {row for row in pairs.ours[0]["found"] if row % STEP == 0}
    every = range(0, pq.read_metadata(pages).num_rows, STEP)
    same = sum((row in mine) == (row in theirs) for row in every)
    yield Row(
        "contamination.agreement", same / len(every), None, None, "of pages", len(every), 1,
        notes={
            "only_ours": len(mine - theirs), "only_peer": len(theirs - mine), "both": len(mine & theirs),
            "planted": len([row for row in planted if row % STEP == 0]),
            "planted_found": len([row for row in planted if row in mine]),
        },
    )  # fmt: skip


def _write(bench: Bench, pages: Path, items: Path) -> list[int]:
    """The rows that an item was planted in."""
    from pipelines.contamination.evaluations import read_items
    from pipelines.settings import EvalSet

    sets = [EvalSet(name=path.stem, path=str(path)) for path in sorted((bench.data / "evals").glob("*.jsonl"))]
    every = [(item.task, item.text) for one in sets for item in read_items(one)]
    long = [text for _, text in every if len(text.split()) >= 20]
    found = pq.read_table(texts(bench))["text"].slice(0, int(PAGES * bench.scale)).to_pylist()
    planted = list(range(0, len(found), PLANTED))
    for number, row in enumerate(planted):
        half = len(found[row]) // 2
        found[row] = f"{found[row][:half]} {long[number * 7919 % len(long)]} {found[row][half:]}"
    pq.write_table(pa.table({"text": found}), pages)
    items.write_text(json.dumps(every), encoding="utf-8")
    return planted
