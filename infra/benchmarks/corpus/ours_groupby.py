"""Buckets of made band keys, in a stated memory: `ours_groupby.py WORK DOCUMENTS MEMORY_MIB`.

Keys are 64-bit, of 14 bands; three documents of ten share all of theirs with up to seven others.
"""

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from watched import Watched

from pipelines.duplicates.candidates import BYTES_PER_ENTRY, buckets, range_bits
from pipelines.duplicates.sources import Source
from pipelines.settings import Engine

PART = 50_000
BANDS = 14


@dataclass(frozen=True)
class Made:
    """Stands for a stage of signatures, whose keys are worked out as they are read."""

    rows: int

    def sidecar(self, part: str) -> dict[str, int]:
        return {"rows": min(PART, self.rows - int(part) * PART)}

    def read(self, part: str, columns: list[str]) -> pa.Table:
        rows = np.arange(self.sidecar(part)["rows"], dtype=np.uint64) + np.uint64(int(part) * PART)
        groups = np.where(
            mixed(rows // np.uint64(8)) % np.uint64(10) < 3, rows // np.uint64(8), rows + np.uint64(1 << 40)
        )
        made = {"id": pa.nulls(len(rows), pa.binary(16)), "num_shingles": np.ones(len(rows), np.int32)}
        for name in columns:
            if name.startswith("band_"):
                made[name] = mixed(groups ^ np.uint64(int(name[5:]) << 50))
        return pa.table({name: made[name] for name in columns})


def mixed(x: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def main(work: Path, num_documents: int, memory: int) -> None:
    engine = Engine(workers=2, memory_bytes=memory)
    columns = [f"band_{band:02d}" for band in range(BANDS)]
    group(work, 2 * PART, columns, engine)  # processes start, code is loaded
    started = time.perf_counter()
    with Watched() as watched:
        found = group(work, num_documents, columns, engine)
    seconds = time.perf_counter() - started
    told = {"seconds": seconds, "n": num_documents, "peak_bytes": watched.peak, "buckets": len(found.offsets) - 1}
    members, ranges = len(found.rows), 1 << range_bits(num_documents, engine)
    print(json.dumps({**told, "members": members, "ranges": ranges, "bytes_per_entry": BYTES_PER_ENTRY}))


def group(work: Path, num_documents: int, columns: list[str], engine: Engine):  # type: ignore[no-untyped-def]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    stage = Made(num_documents)
    sources = [Source(f"{part}", part, 0, stage, stage, None, None) for part in range(-(-num_documents // PART))]
    return buckets(sources, columns, 0, work, engine)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) << 20)
