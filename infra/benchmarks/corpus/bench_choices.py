"""Questions with choices: which are found however pages print them, what else is accused, and what the speed costs.

The items are those of `evals/` that have a question, choices and a right one; every item is printed in three ways and
looked for in each. `without` is the same index of questions with right answers alone. No peer: datatrove's filter reads
what lighteval puts together, a question with its right answer.
"""

import gzip
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from bench import ROOT, Bench, Row

sys.path.insert(0, str(ROOT))

from pipelines.contamination.evaluations import item_texts
from pipelines.contamination.index import NgramIndex
from pipelines.settings import Decontamination, EvalSet

TEXTS = 400  # of each domain


def measure(bench: Bench) -> Iterator[Row]:
    """`ours` and `peer` are counts with and without the second reading; of `choices.speed` megabytes a second."""
    settings = Decontamination()
    records = [record for record in _records(bench) if record.get("choices") and "continuation" not in record]
    fields = EvalSet(name="x", path="x").fields
    readings = [item_texts(record, fields, settings.ngram) for record in records]
    listed = [number for number, (_, again) in enumerate(readings) if again]
    item_of = np.array([*range(len(records)), *listed])
    ours = NgramIndex([text for text, _ in readings], settings, again=[readings[number][1] for number in listed])
    without = NgramIndex([text for text, _ in readings], settings)

    for name, pages in _printed(records).items():
        missed = [len(records) - _num_found(index, item_of, pages) for index in (ours, without)]
        yield Row(f"choices.missed.{name}", *missed, None, "items", len(records), 1)
    texts = _texts(bench)
    accused = [len(np.unique(index.find(texts).documents)) for index in (ours, without)]
    yield Row("choices.accused", *accused, None, "of texts", len(texts), 1)
    rates = np.array([[_rate(index, texts) for index in (ours, without)] for _ in range(bench.repeats + 1)])[1:]
    ratios = sorted((rates[:, 0] / rates[:, 1]).tolist())
    yield Row(
        "choices.speed", *np.median(rates, axis=0).tolist(), statistics.median(ratios), "MB/s", len(texts),
        len(ratios), (ratios[0], ratios[-1]), notes={"ngrams": [len(ours.keys), len(without.keys)]},
    )  # fmt: skip


def _printed(records: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "with_the_answer": [f"{record['question']} {record['choices'][record['answer']]}" for record in records],
        "above_the_choices": ["\n".join([record["question"], *record["choices"]]) for record in records],
        "above_lettered_choices": [
            "\n".join([record["question"], *(f"{chr(65 + n)}) {one}" for n, one in enumerate(record["choices"]))])
            for record in records
        ],
    }


def _num_found(index: NgramIndex, item_of: np.ndarray, pages: list[str]) -> int:
    """Items that are found on their own page."""
    hits = index.find(pa.array(pages))
    which, texts = index.items_of(hits.ngrams)
    pages_of = hits.documents[which]
    return len(np.unique(pages_of[item_of[texts] == pages_of]))


def _rate(index: NgramIndex, texts: pa.Array) -> float:
    started = time.process_time()
    index.find(texts)
    return float(texts.nbytes / 1e6 / (time.process_time() - started))


def _records(bench: Bench) -> Iterator[dict[str, Any]]:
    for path in sorted((bench.data / "evals").glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def _texts(bench: Bench) -> pa.Array:
    found: list[str] = []
    for path in sorted((bench.data / "domains").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found += [json.loads(line)["text"] for line in islice(file, int(TEXTS * bench.scale))]
    return pa.array(found, pa.large_string())
