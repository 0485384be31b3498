"""The contamination columns of texts, 13-grams alone: `ours_contamination.py TEXTS.parquet EVALS`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from bench import timed

from pipelines.contamination.evidence import contamination
from pipelines.settings import Decontamination, EvalSet


def main(path: str, evals: Path) -> None:
    texts = pq.read_table(path)["text"].combine_chunks()
    sets = tuple(EvalSet(name=one.stem, path=str(one)) for one in sorted(evals.glob("*.jsonl")))
    settings = Decontamination(sets=sets, ngram=13, short_ngram=13, min_words=13, max_contexts=0)
    contamination(texts.slice(0, 20), settings)
    found: list[Any] = []

    def work() -> int:
        table = contamination(texts, settings)
        found.extend(np.flatnonzero(np.asarray(table["contaminated_share"])).tolist())
        return len(texts)

    timed(work, bytes=texts.nbytes, found=found)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
