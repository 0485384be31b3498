"""datatrove's filters on texts one by one: `peer_filters.py TEXTS.parquet N STEP [all]`, every STEP-th of the first N.

Runs in datatrove's own environment. A text that a filter drops goes no further, as in its pipelines; with `all` every
filter sees every text.
"""

import json
import sys
import time
import warnings

import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)


def passes(rule, document):
    try:
        return rule.filter(document) is True
    except ZeroDivisionError:  # a text without words
        return False


def main(path, count, step, every):
    warnings.simplefilter("ignore")
    texts = pq.read_table(path)["text"].slice(0, count).to_pylist()[::step]
    filters = [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]
    for text in texts[:3]:
        for rule in filters:
            passes(rule, Document(text=text, id="0"))
    started, kept = time.process_time(), 0
    for number, text in enumerate(texts):
        document = Document(text=text, id=str(number))
        if every:
            passed = [passes(rule, document) for rule in filters]
            kept += all(passed)
        else:
            kept += all(passes(rule, document) for rule in filters)
    seconds = time.process_time() - started
    size = sum(len(text.encode()) for text in texts)
    print(json.dumps({"seconds": seconds, "n": len(texts), "bytes": size, "kept": kept}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["all"])
