"""Duplicates of one crawl: rows that share a hash, verified against rows that are kept, one keeper a group.

Rows travel as (part ordinal, row) in 64 bits. Parts are numbered targets first, then the crawls by age, so that the
documents of a target and those kept in an earlier crawl always win; within a crawl the smallest id does. Three steps,
each over batches, never over single documents: (1) a repeated record stands behind its first, and of texts that are
equal one stands for all; (2) the others meet by the bands of their signatures (pipelines/duplicates/candidates.py);
(3) in keeper order, each is dropped that is similar to a row which is kept (pipelines/duplicates/verify.py).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import lineage
from pipelines.corpus import Corpus, Report
from pipelines.duplicates import verify
from pipelines.duplicates.candidates import Buckets, buckets, exclude
from pipelines.duplicates.report import Ids, group_counts
from pipelines.duplicates.schemes import Scheme, scheme_of
from pipelines.duplicates.shingles import exact_shingle_sets
from pipelines.duplicates.sources import (
    TARGET_AGE,
    Source,
    first_own,
    sources_of,
)
from pipelines.engine import run_map, scratch_folder
from pipelines.records import ID, ID_WORDS, id_column
from pipelines.row_numbers import U64, index_of, of_part, ordinals, places
from pipelines.store import aligned

METHODS = ("record", "exact", "minhash", "target")  # how a duplicate is like its keeper; of a target whatever it is
RECORD, EXACT, MINHASH, TARGET = range(len(METHODS))
DUPLICATES = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("duplicate_of", ID),
        pa.field("method", pa.string()),
    ]
)

I64 = npt.NDArray[np.int64]
I8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Found:
    """This crawl's duplicates by row number, ascending, and what was counted on the way."""

    rows: U64
    keepers: Ids
    methods: I8
    counts: dict[str, Any]


def run_duplicates(corpus: Corpus, crawl: str) -> Report:
    """Find this crawl's duplicates within itself, of the targets, and of what earlier crawls keep."""
    stage = lineage.duplicates(corpus, crawl)
    sources = sources_of(corpus, crawl)
    own = {source.name: source for source in sources if source.own}
    search = _Search(corpus, sources)

    def write(part: str) -> tuple[int, int]:
        table, counts = _rows_of(own[part], search.found)
        if part == next(iter(own)):
            counts |= search.found.counts  # of the stage, so counted with one part
        stage.commit(part, table, counts=counts)
        return table.num_rows, 0

    # Writing is the driver's: what was found is a few columns.
    return corpus.run(stage, list(own), write, on_driver=True)


def _rows_of(source: Source, found: Found) -> tuple[pa.Table, dict[str, Any]]:
    """The part's rows of `duplicates`, aligned with its documents."""
    signatures = source.signatures.read(source.name, ["id"])
    mine = of_part(found.rows, source.ordinal)
    lost = places(found.rows[mine])
    at = index_of(lost, signatures.num_rows)
    ids = id_column(found.keepers[mine])
    methods = pa.array(METHODS).take(pa.array(found.methods[mine]))
    by_method = np.bincount(found.methods[mine], minlength=len(METHODS)).tolist()
    read = int(source.kept(signatures).sum())
    dropped = {f"duplicate_{name}": count for name, count in zip(METHODS, by_method, strict=True) if count}
    counts = {"read": read, "kept": read - len(lost), "dropped": dict(sorted(dropped.items()))}
    columns = [signatures["id"].combine_chunks(), ids.take(at), methods.take(at)]
    return pa.table(columns, schema=DUPLICATES), counts


# ---------------------------------------------------------------------------------------------------------
# The search


@dataclass(frozen=True)
class _Search:
    corpus: Corpus
    sources: tuple[Source, ...]

    @cached_property
    def found(self) -> Found:
        """Worked out only when a part is missing: a finished stage costs nothing."""
        with scratch_folder("duplicates") as scratch:
            same = self._meet(["id", "content_hash"], scratch)
            records = same.of(0)
            exact = same.of(1).without(records.rows[records.later])
            exclude(np.concatenate([records.rows[records.later], exact.rows[exact.later]]), scratch)
            num_bands = scheme_of(self.corpus.settings.duplicates).bands
            similar = self._meet([f"band_{band:02d}" for band in range(num_bands)], scratch)
            return self._resolved(records, exact, similar, scratch)

    def _meet(self, columns: list[str], scratch: Path) -> Buckets:
        return buckets(self.sources, columns, first_own(self.sources), scratch, self.corpus.settings.engine)

    def _resolved(self, records: Buckets, exact: Buckets, similar: Buckets, scratch: Path) -> Found:
        compared = _distinct(similar.rows)
        rows = _distinct(np.concatenate([records.firsts, exact.rows, compared]))
        ids, sets = _read(self.corpus, self.sources, rows, compared, scratch)
        ages = np.array([source.age for source in self.sources], np.int64)[ordinals(rows)]
        rank = np.empty(len(rows), np.int64)
        rank[np.lexsort((rows, ids["low"], ids["high"], ages))] = np.arange(len(rows))

        # Of equal texts the first in keeper order keeps; the one that was compared for all of them may be another.
        members, groups = np.searchsorted(rows, exact.rows), exact.numbers
        keeping = np.arange(len(rows))
        if len(members):
            by_rank = np.lexsort((rank[members], groups))
            keeping[members[exact.offsets[:-1]]] = members[by_rank[exact.offsets[:-1]]]
        stands = keeping[np.searchsorted(rows, compared)]  # of each compared row: who would keep
        kept = self._kept(rank[stands], rows[stands], ages[stands], similar, compared, sets)

        keepers = np.arange(len(rows))
        keepers[stands] = stands[kept.keepers]
        methods = np.where(keepers != np.arange(len(rows)), MINHASH, EXACT)
        if len(members):
            first = keeping[members[exact.offsets[:-1]]][groups]  # of each member's text
            copies = members != first
            keepers[members[copies]] = keepers[first[copies]]
            methods[members[copies]] = np.where(keepers[first[copies]] == first[copies], EXACT, MINHASH)
        later = records.rows[records.later]
        first = np.searchsorted(rows, records.firsts)[records.numbers][records.later]
        every = np.concatenate([rows, later])
        keepers = np.concatenate([keepers, keepers[first]])
        methods = np.concatenate([methods, np.where(keepers[first] == first, RECORD, methods[first])])
        methods[ages[keepers] == TARGET_AGE] = TARGET

        lost = (every != rows[keepers]) & (every >= first_own(self.sources))
        order = np.flatnonzero(lost)[np.argsort(every[lost])]
        given = ids[keepers[order]]
        counts = {"compared_pairs": kept.compared, "capped_rows": kept.capped, **group_counts(given)}
        return Found(every[order], given, methods[order].astype(np.int8), counts)

    def _kept(self, rank: I64, rows: U64, ages: I64, similar: Buckets, compared: U64, sets: verify.Sets) -> verify.Kept:
        """`verify.kept` of the compared rows, whose keepers are numbers of compared rows again."""
        order = np.argsort(rank)
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        members = number[np.searchsorted(compared, similar.rows)]
        # by bucket, then by number: both are below 2^31, and one sort of whole words takes a tenth of two
        members = np.sort((similar.numbers << 32) | members) & np.int64(0xFFFFFFFF)
        kept = verify.kept(
            verify.Sets(sets.values, sets.starts[order], sets.lengths[order]),
            members,
            similar.offsets,
            fixed=rows[order] < first_own(self.sources),
            held=ages[order] == TARGET_AGE,
            threshold=self.corpus.settings.duplicates.min_jaccard,
            memory_bytes=self.corpus.settings.engine.memory_bytes,
        )
        return verify.Kept(order[kept.keepers][number].astype(np.int32), kept.compared, kept.capped)


def _distinct(rows: U64) -> U64:
    """Each value once, ascending; by sorting, which takes a tenth of the time of `np.unique`'s hashing."""
    ordered: U64 = np.sort(rows)
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)]
    found: U64 = ordered[new]
    return found


# ---------------------------------------------------------------------------------------------------------
# What must be known of the rows that met


def _read(
    corpus: Corpus, sources: tuple[Source, ...], rows: U64, compared: U64, scratch: Path
) -> tuple[Ids, verify.Sets]:
    """Ids of `rows`, and the shingle sets of `compared`, in a file; both ascend."""
    wanted = np.unique(ordinals(rows)).tolist()
    for ordinal in wanted:
        for name, numbers in (("rows", rows), ("compared", compared)):
            np.save(scratch / f"{name}-{ordinal}.npy", places(numbers[of_part(numbers, ordinal)]))
    task = _Read(sources, scheme_of(corpus.settings.duplicates), scratch)
    run_map(task, list(map(str, wanted)), corpus.settings.engine)
    ids, lengths = [np.empty(0, ID_WORDS)], [np.empty(0, np.int64)]
    with (scratch / "sets.bin").open("wb") as file:
        for ordinal in wanted:
            ids.append(np.load(scratch / f"ids-{ordinal}.npy").view(ID_WORDS))
            lengths.append(np.load(scratch / f"lengths-{ordinal}.npy"))
            values = scratch / f"values-{ordinal}.npy"
            np.load(values, mmap_mode="r").tofile(file)
            values.unlink()
    sizes = np.concatenate(lengths)
    starts = np.concatenate([[0], np.cumsum(sizes)])[: len(sizes)].astype(np.int64)
    empty = not sizes.sum()  # an empty file cannot be mapped
    mapped = np.empty(0, np.uint64) if empty else np.memmap(scratch / "sets.bin", np.uint64, mode="c")
    # concatenate() turns the words to this machine's byte order; ids are written as they stand in memory
    return np.concatenate(ids).astype(ID_WORDS), verify.Sets(mapped, starts, sizes)


@dataclass(frozen=True)
class _Read:
    """Writes the ids and the sorted shingle sets of one part's rows that met."""

    sources: tuple[Source, ...]
    scheme: Scheme
    scratch: Path

    def __call__(self, item: str) -> None:
        source = self.sources[int(item)]
        rows, compared = (np.load(self.scratch / f"{name}-{item}.npy") for name in ("rows", "compared"))
        texts = source.texts.read(source.name, ["id", "text"])
        aligned(texts, source.signatures.read(source.name, ["id"]))
        ids = np.frombuffer(b"".join(texts["id"].take(rows).to_pylist()), np.uint8)
        values, offsets = exact_shingle_sets(texts["text"].take(compared), self.scheme.ngram, self.scheme.unit)
        for name, array in (("ids", ids), ("lengths", np.diff(offsets)), ("values", values)):
            np.save(self.scratch / f"{name}-{item}.npy", array)
