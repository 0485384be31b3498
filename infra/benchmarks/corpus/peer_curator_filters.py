"""NeMo Curator's English heuristics as its pipeline runs them: `peer_curator_filters.py TEXTS COUNT STEP [every]`.

Runs in Curator's own environment, on every STEP-th of the first COUNT texts. One `ScoreFilter` stage after the other on
one batch, without Ray, so that a dropped text goes no further; with `every`, each filter scores every text.
"""

import json
import sys
import time

import pandas as pd
import pyarrow.parquet as pq
from loguru import logger
from nemo_curator.stages.text.filters import ScoreFilter
from nemo_curator.tasks import DocumentBatch
from peer_curator_scores import filters, judged


def run(chosen, texts, every):
    """How many texts stay."""
    if every:
        kept = [[judged(one, text)[1] for one in chosen] for text in texts]
        return sum(all(row) for row in kept)
    batch = DocumentBatch(dataset_name="texts", data=pd.DataFrame({"text": texts}))
    for one in chosen:
        batch = ScoreFilter(one).process(batch)
        if batch is None or not batch.num_items:
            return 0
    return batch.num_items


def main(path, count, step, every):
    logger.remove()
    texts = [text for text in pq.read_table(path)["text"].slice(0, count).to_pylist() if text.split()][::step]
    chosen = list(filters().values())
    run(chosen, texts[:5], every)
    started = time.process_time()
    kept = run(chosen, texts, every)
    print(json.dumps({"seconds": time.process_time() - started, "n": len(texts), "kept": kept}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["every"])
