"""Which documents a dataset has: those in the pools, less those taken down, drawn by the mixture.

Small tables on the driver. What the takedown list names leaves with its copies: with the one that stays in its stead
where it is a duplicate, and with whatever has the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixer.export.selection import Selection, select
from pipelines import lineage
from pipelines.columns import parts_of
from pipelines.corpus import Corpus
from pipelines.records import ID, ID_WORDS
from pipelines.row_numbers import numbered
from pipelines.store import aligned
from pipelines.takedown import Takedown


@dataclass(frozen=True)
class Candidates:
    """Every pooled document as arrays, in the order of (crawl, part, row)."""

    parts: tuple[tuple[str, str], ...]  # (crawl, part) by ordinal
    places: np.ndarray  # as pipelines/row_numbers.py has them
    ids: np.ndarray  # uint8 [n, 16]
    clusters: np.ndarray
    num_tokens: np.ndarray
    num_bytes: np.ndarray
    validation: np.ndarray
    texts: np.ndarray  # ID_WORDS: digests of the texts after edits
    num_outside: int = field(kw_only=True)  # documents with tokens and in no cluster
    num_taken_down: int = field(default=0, kw_only=True)

    def without(self, ids: set[bytes]) -> "Candidates":
        """Those that are not among these ids."""
        stay = np.array([row.tobytes() not in ids for row in self.ids], bool)
        columns = ("places", "ids", "clusters", "num_tokens", "num_bytes", "validation", "texts")
        kept = {name: getattr(self, name)[stay] for name in columns}
        return replace(self, **kept, num_taken_down=int((~stay).sum()))


def pooled(corpus: Corpus) -> Candidates:
    from pipelines.clusters import read_buckets
    from pipelines.pooling import pooled_parts

    buckets = read_buckets(corpus)
    parts, columns, num_outside = [], [], 0
    for ordinal, (crawl, part, rows) in enumerate(pooled_parts(corpus, buckets, ("num_bytes", "text_digest"))):
        parts.append((crawl, part))
        pooled = np.flatnonzero(np.asarray(rows["bucket"]) >= 0)
        num_outside += int((np.asarray(rows["num_tokens"]) > 0).sum()) - len(pooled)
        mine = rows.take(pooled)
        raw = b"".join(mine["id"].to_pylist())
        columns.append(
            (
                numbered(pooled, ordinal),
                np.frombuffer(raw, np.uint8).reshape(-1, 16),
                *(np.asarray(mine[name]) for name in ("bucket", "num_tokens", "num_bytes", "validation")),
                np.frombuffer(b"".join(mine["text_digest"].to_pylist()), ID_WORDS),
            )
        )
    arrays = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Candidates(tuple(parts), *arrays, num_outside=num_outside)


def selected(corpus: Corpus, candidates: Candidates, train: np.ndarray, weights: Sequence[float]) -> Selection:
    settings = corpus.settings.dataset
    return select(
        candidates.ids[train],
        candidates.clusters[train],
        candidates.num_tokens[train],
        weights,
        budget=settings.tokens,
        max_epochs=settings.max_epochs,
        seed=settings.seed,
    )


def held_out(candidates: Candidates, train: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """Validation documents once each, in an order that only their ids decide, and how many training has too."""
    every = np.flatnonzero(candidates.validation)
    seen = np.isin(candidates.texts[every], candidates.texts[train])
    held = every[~seen]
    if not len(held):
        return held, int(seen.sum())
    tokens = candidates.num_tokens[held]
    order = select(
        candidates.ids[held], np.zeros(len(held), np.int64), tokens, [1.0],
        budget=int(tokens.sum()), max_epochs=1.0, seed=seed,
    )  # fmt: skip
    return held[order.rows], int(seen.sum())


def taken_down(corpus: Corpus, takedown: Takedown) -> set[bytes]:
    """Ids of the documents that the list names, of those kept in their stead, and of those with the same text."""
    found: set[bytes] = set()
    contents: set[bytes] = set()
    every = [(crawl.name, part) for crawl in corpus.crawls for part in parts_of(corpus, crawl.name)]
    for crawl, part in every:
        rows = lineage.documents(corpus, crawl).read(part, ["id", "url"])
        hit = takedown.matches(rows["id"], rows["url"])
        if not hit.true_count:
            continue
        keepers = lineage.duplicates(corpus, crawl).read(part, ["id", "duplicate_of"])
        texts = lineage.signatures(corpus, crawl).read(part, ["id", "content_hash"])
        aligned(rows, keepers, texts)
        found.update(rows["id"].filter(hit).to_pylist())
        found.update(pc.drop_null(keepers["duplicate_of"].filter(hit)).to_pylist())
        contents.update(texts["content_hash"].filter(hit).to_pylist())
    wanted = pa.array(sorted(contents), ID)
    for crawl, part in every if contents else []:
        texts = lineage.signatures(corpus, crawl).read(part, ["id", "content_hash"])
        same = pc.is_in(texts["content_hash"].cast(ID), value_set=wanted)
        found.update(texts["id"].filter(same).to_pylist())
    return found
