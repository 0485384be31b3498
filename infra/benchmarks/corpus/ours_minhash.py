"""Words, shingles and MinHash bands of pages: `ours_minhash.py PARQUET PAGES`."""

import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from bench import timed

from pipelines.duplicates.minhash import signatures
from pipelines.duplicates.schemes import SCHEMES

WARM_UP = 20


def main(path: Path, pages: int) -> None:
    texts = pq.read_table(path, columns=["text"])["text"][:pages].combine_chunks()
    signatures(texts[:WARM_UP], SCHEMES["datatrove"])
    with tempfile.TemporaryDirectory() as folder:

        def work() -> int:
            pq.write_table(signatures(texts, SCHEMES["datatrove"]), Path(folder) / "signatures.parquet")
            return len(texts)

        timed(work, text_bytes=texts.nbytes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
