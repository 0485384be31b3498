"""datatrove's n-gram decontamination: `peer_contamination.py TEXTS.parquet ITEMS.json STEP`, every STEP-th text.

Runs in datatrove's own environment. Its indexer wants lighteval and its own tasks, so the index of the items' 13-grams
is written here, with its own words and hashes, in the form that its filter reads.
"""

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from bench import timed
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
from datatrove.utils.text import ngrams, simplify_text

WARM_UP = 20


def main(path: Path, items: Path, step: int) -> None:
    texts = pq.read_table(path)["text"].to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        rule = NGramsDecontFilter(folder, NGramsDecontConfig(n_grams=13))
        hashes = defaultdict(set)
        for task, text in json.loads(items.read_text()):
            words = rule.tokenizer.word_tokenize(simplify_text(text, rule.config.norm_config))
            hashes[task].update(rule.hash_func(" ".join(gram)) for gram in ngrams(words, 13))
        for task, found in hashes.items():
            np.array(sorted(found), rule.config.hash_config.np_descr).tofile(Path(folder, f"{task}.index.hashes"))
        for text in texts[:WARM_UP]:
            rule.filter(Document(text=text, id=""))
        rows = range(0, len(texts), step)
        found = []

        def work() -> int:
            for row in rows:
                if rule.filter(Document(text=texts[row], id=str(row))) is not True:
                    found.append(row)
            return len(rows)

        timed(work, found=found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
