"""Stage 1 of datatrove's MinHash deduplication, its defaults: `peer_minhash_datatrove.py PARQUET PAGES STEP`."""

import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from bench import timed
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

WARM_UP = 20


def main(path: Path, pages: int, step: int) -> None:
    texts = pq.read_table(path, columns=["text"])["text"][:pages].to_pylist()[::step]
    documents = [Document(text=text, id=str(number)) for number, text in enumerate(texts) if text]
    with tempfile.TemporaryDirectory() as folder:
        step = MinhashDedupSignature(folder, MinhashConfig())
        step.run(iter(documents[:WARM_UP]))

        def work() -> int:
            step.run(iter(documents))
            return len(documents)

        timed(work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
