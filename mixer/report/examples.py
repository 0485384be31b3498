"""A few documents of each cluster, with their addresses: what its name and its terms only hint at."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from pipelines.buckets import in_buckets
from pipelines.clusters import read_buckets
from pipelines.corpus import Corpus
from pipelines.errors import StoreError
from pipelines.fitting import kept_parts

PARTS = 8  # whose documents are looked at
EACH = 3
CHARS = 240


def examples(corpus: Corpus, clusters: Sequence[Mapping[str, Any]]) -> list[list[dict[str, str]]]:
    """For each cluster its kept documents of the smallest ids in the first parts, as `url` and `text`.

    Where the documents themselves are gone, the texts that the clusters' table holds, without addresses.
    """
    beside = partial(in_buckets, buckets=read_buckets(corpus))
    best: list[list[tuple[bytes, str, str]]] = [[] for _ in clusters]
    wanted = {"documents": ("url", "text")}
    try:
        for rows in islice(kept_parts(corpus, corpus.fit_crawls, wanted, beside=beside), PARTS):
            numbers = np.asarray(rows["bucket"])
            for number, found in enumerate(best):
                mine = rows.take(np.flatnonzero(numbers == number)).select(["id", "url", "text"])
                mine = mine.sort_by("id").slice(0, EACH)
                listed = [(row["id"], row["url"], row["text"][: 4 * CHARS]) for row in mine.to_pylist()]
                best[number] = sorted(found + listed)[:EACH]
    except StoreError:
        best = [[] for _ in clusters]
    return [
        [{"url": url or "", "text": _cut(text)} for _, url, text in found]
        or [{"url": "", "text": _cut(text)} for text in row["examples"]]
        for found, row in zip(best, clusters, strict=True)
    ]


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CHARS else line[: CHARS - 1] + "…"
