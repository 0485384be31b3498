"""The group-by of near-duplicates: band keys of ten million documents, in a stated memory."""

import sys
from collections.abc import Iterator

from bench import Bench, Row

DOCUMENTS = 10_000_000
MEMORY_MIB = 512


def measure(bench: Bench) -> Iterator[Row]:
    count = max(10_000, int(DOCUMENTS * bench.scale))
    found = bench.run(sys.executable, "ours_groupby.py", bench.work / "groupby", count, MEMORY_MIB)
    # The answer itself is on top of what the ranges take, and so are three interpreters with their libraries.
    limit = 2 * (MEMORY_MIB << 20) + 8 * found["members"]
    notes = {
        "peak_bytes": found["peak_bytes"],
        "memory_setting": MEMORY_MIB << 20,
        "answer_bytes": 8 * found["members"],
        "bands": 14,
        "buckets": found["buckets"],
        "passes_a_band": found["ranges"],
        "processes": 2,
    }
    yield Row(
        "groupby_10m: 14 bands", found["seconds"], None, None, "s", found["n"], 1, None,
        "peak < 2 x memory + answer", found["peak_bytes"] < limit, notes,
    )  # fmt: skip
