"""Duplicates of one crawl: candidates by band, verified pairs, one keeper a group.

Rows travel as (part ordinal, row) in 64 bits. Parts are numbered in keeper order, targets first, then the
crawls by age, so that the documents of a target and those kept in an earlier crawl always win. Three passes,
each over batches, never over single documents: (1) hashes meet in a group-by, a few bands at a time as the
memory setting allows; (2) the shingle sets of all candidates are computed once, part by part; (3) pairs are
verified by exact Jaccard and joined by union-find.
"""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.corpus import Corpus, Report
from pipelines.duplicates import minhash
from pipelines.records import ID, ID_WORDS
from pipelines.settings import Engine
from pipelines.store import Stage, aligned

ROW_BITS = 32
NUM_BUCKETS = 64  # of a band; batches for one reducer
BYTES_PER_ENTRY = 120  # of a (hash, row) pair on its way through the local runner, measured
DUPLICATES = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("duplicate_of", ID),
        pa.field("method", pa.string()),  # record, exact, minhash, target
    ]
)


@dataclass(frozen=True)
class Source:
    """A part that takes part: where its signatures, texts and verdicts are."""

    name: str
    ordinal: int
    signatures: Stage
    texts: Stage
    verdicts: Stage | None  # None for targets
    duplicates: Stage | None  # of an earlier crawl; None for this one and for targets

    def kept(self, signatures: pa.Table) -> np.ndarray:
        """bool [rows]: rows that can keep or be a duplicate; StoreError where they are not those of `signatures`."""
        if self.verdicts is None:
            return np.ones(signatures.num_rows, dtype=bool)
        verdicts = self.verdicts.read(self.name, ["id", "reason"])
        aligned(signatures, verdicts)
        kept = pc.is_null(verdicts["reason"])
        if self.duplicates is not None:
            earlier = self.duplicates.read(self.name, ["id", "duplicate_of"])
            aligned(signatures, earlier)
            kept = pc.and_(kept, pc.is_null(earlier["duplicate_of"]))
        return np.asarray(kept)


def run_duplicates(corpus: Corpus, crawl: str) -> Report:
    """Find this crawl's duplicates within itself, of the targets, and of what earlier crawls keep."""
    stage = lineage.duplicates(corpus, crawl)
    sources = _sources(corpus, crawl)
    own = [source for source in sources if source.verdicts is not None and source.duplicates is None]
    parts = [source.name for source in own]
    finder = _Finder(corpus, sources, first_own=own[0].ordinal if own else 0)
    found: list[tuple[pa.Table, int]] = []

    def write(part: str) -> tuple[int, int]:
        if not found:
            found.append(finder.find())  # only when a part is missing: a finished stage costs nothing
        source = next(one for one in own if one.name == part)
        rows, capped = found[0]
        table, counts = _rows_of(source, rows)
        counts["capped_buckets"] = capped if source is own[0] else 0  # of the stage, so counted with one part
        stage.commit(part, table, counts=counts)
        return table.num_rows, 0

    # Writing is the driver's: the pairs are one table, and the parts are a few columns.
    return corpus.run(stage, parts, write, on_driver=True)


def _sources(corpus: Corpus, crawl: str) -> list[Source]:
    """All parts that take part, in keeper order."""
    targets = lineage.targets(corpus)
    given: list[tuple[str, Stage, Stage, Stage | None, Stage | None]] = [
        (part, targets, targets, None, None) for part in _finished_parts(targets)
    ]
    order = corpus.crawl(crawl).order
    for other in corpus.crawls[: order + 1]:
        documents = lineage.documents(corpus, other.name)
        duplicates = lineage.duplicates(corpus, other.name) if other.order < order else None
        signatures, verdicts = lineage.signatures(corpus, other.name), lineage.verdicts(corpus, other.name)
        given += [(part, signatures, documents, verdicts, duplicates) for part in _finished_parts(documents)]
    return [Source(one[0], ordinal, *one[1:]) for ordinal, one in enumerate(given)]


def _finished_parts(stage: Stage) -> list[str]:
    """Those of the manifest: a folder may hold more, of a run that has not ended."""
    return [part["part"] for part in stage.finished()["parts"]]


@dataclass(frozen=True)
class _Finder:
    corpus: Corpus
    sources: Sequence[Source]
    first_own: int  # ordinal of this crawl's first part

    def find(self) -> tuple[pa.Table, int]:
        """(duplicates, capped): row, keeper and method of each of this crawl's, and buckets not paired whole."""
        scratch = _scratch(self.corpus)
        try:
            left, right = self._candidates(scratch)
            capped = sum(int(np.load(path)) for path in scratch.glob("capped-*.npy"))
            return self._resolve(scratch, left, right), capped
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _candidates(self, scratch: Path) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of rows that share an id, a content hash or a band; every pair once."""
        settings = self.corpus.settings
        keys = ["id", "content_hash", *(f"band_{band:02d}" for band in range(settings.duplicates.bands))]
        rows = sum(source.signatures.sidecar(source.name)["rows"] for source in self.sources)
        per_pass = max(1, settings.engine.memory_bytes // max(1, rows * BYTES_PER_ENTRY))
        by_name = {str(source.ordinal): source for source in self.sources}
        first_crawl = sum(source.verdicts is None for source in self.sources)  # targets come first
        for start in range(0, len(keys), per_pass):
            _group(
                partial(_emit, by_name, keys[start : start + per_pass]),
                partial(_meet, str(scratch), first_crawl << ROW_BITS, self.first_own << ROW_BITS, start * NUM_BUCKETS),
                list(by_name),
                settings.engine,
            )
        pairs = [np.load(path) for path in sorted(scratch.glob("pairs-*.npy"))]
        unique = np.unique(np.concatenate(pairs), axis=0) if pairs else np.empty((0, 2), np.uint64)
        return unique[:, 0], unique[:, 1]

    def _resolve(self, scratch: Path, left: np.ndarray, right: np.ndarray) -> pa.Table:
        """Verify the pairs, join them, choose the keepers."""
        rows = np.unique(np.concatenate([left, right]))
        facts = _facts(self.corpus, self.sources, rows, scratch)
        a, b = np.searchsorted(rows, left), np.searchsorted(rows, right)
        record = facts.ids[a] == facts.ids[b]
        exact = facts.contents[a] == facts.contents[b]
        similar = minhash.jaccards(facts.values, facts.offsets, a, b) >= self.corpus.settings.duplicates.min_jaccard
        real = record | exact | similar
        # Rows in keeper order: targets, then crawls by age, then by id within a crawl.
        ages = np.array([self._age(int(row) >> ROW_BITS) for row in rows])
        order = np.lexsort((rows, facts.ids["low"], facts.ids["high"], ages))
        rank = np.empty(len(rows), np.int64)
        rank[order] = np.arange(len(rows))
        keeper = order[minhash.keepers(len(rows), rank[a[real]], rank[b[real]])][rank]
        lost = (keeper != np.arange(len(rows))) & (rows >> np.uint64(ROW_BITS) >= self.first_own)
        method = np.full(len(rows), "minhash", dtype=object)
        for kind, matches in (("exact", exact), ("record", record)):
            for ends in ((a, b), (b, a)):
                hit = matches & real & (rank[ends[0]] > rank[ends[1]])
                method[ends[0][hit]] = kind
        method[ages[keeper] < 0] = "target"
        return pa.table(
            {
                "row": pa.array(rows[lost]),
                "keeper": pa.array([facts.ids[index].tobytes() for index in keeper[lost]], type=ID),
                "method": pa.array(method[lost].tolist(), type=pa.string()),
            }
        )

    def _age(self, ordinal: int) -> int:
        source = self.sources[ordinal]
        return -1 if source.verdicts is None else self.corpus.crawl(source.signatures.recipe.crawl).order


# ---------------------------------------------------------------------------------------------------------
# Pass 1: hashes meet


def _group(
    emit: Callable[[str], Iterator[tuple[int, Any]]],
    reduce: Callable[[int, list[Any]], None],
    items: list[str],
    engine: Engine,
) -> None:
    from pipelines.beam import run_group_by  # Beam takes seconds to import

    run_group_by(emit, reduce, items, engine)


def _emit(
    sources: dict[str, Source], keys: Sequence[str], item: str
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
    """((key, bucket), (hashes, rows)) of one part's eligible rows."""
    source = sources[item]
    table = source.signatures.read(source.name, list(dict.fromkeys(["id", "num_shingles", *keys])))
    kept = source.kept(table)
    numbers = np.arange(table.num_rows, dtype=np.uint64) | np.uint64(source.ordinal << ROW_BITS)
    shingled = np.asarray(table["num_shingles"]) > 0
    for index, key in enumerate(keys):
        eligible = kept & shingled if key.startswith("band_") else kept
        hashes = _as_uint64(table[key])[eligible]
        rows = numbers[eligible]
        bucket = hashes % np.uint64(NUM_BUCKETS)
        order = np.argsort(bucket, kind="stable")
        bounds = np.searchsorted(bucket[order], np.arange(NUM_BUCKETS + 1))
        for number in range(NUM_BUCKETS):
            span = order[bounds[number] : bounds[number + 1]]
            if len(span):
                yield index * NUM_BUCKETS + number, (hashes[span], rows[span])


def _meet(
    scratch: str,
    first_crawl: int,
    first_own: int,
    first_key: int,
    key: int,
    batches: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    """Write the candidate pairs of one bucket that touch this crawl, and how many hashes were not paired whole."""
    hashes = np.concatenate([batch[0] for batch in batches])
    rows = np.concatenate([batch[1] for batch in batches])
    order = np.argsort(rows)  # batches arrive in any order
    left, right, capped = minhash.candidate_pairs(hashes[order], rows[order])
    if capped:
        # By number, not at random as the pairs, which are made unique: a bucket done twice counts once.
        np.save(Path(scratch) / f"capped-{first_key + key}.npy", capped)
        held, own = _pairs_with_targets(hashes, rows, first_crawl, first_own)
        left, right = np.concatenate([left, held]), np.concatenate([right, own])
    mine = np.maximum(left, right) >= first_own
    if mine.any():
        pairs = np.stack([np.minimum(left, right)[mine], np.maximum(left, right)[mine]], axis=1)
        np.save(Path(scratch) / f"pairs-{uuid.uuid4().hex}.npy", pairs)


def _pairs_with_targets(
    hashes: np.ndarray, rows: np.ndarray, first_crawl: int, first_own: int
) -> tuple[np.ndarray, np.ndarray]:
    """Every target's row with every row of this crawl that shares its hash, however many share it.

    Else the texts of a target that come from one template would hide each other's copies behind the cap.
    """
    own, held = rows >= first_own, rows < first_crawl
    order = np.argsort(hashes[own], kind="stable")
    own_hashes, own_rows = hashes[own][order], rows[own][order]
    starts = np.searchsorted(own_hashes, hashes[held], side="left")
    sizes = np.searchsorted(own_hashes, hashes[held], side="right") - starts
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(rows[held], sizes), own_rows[np.repeat(starts, sizes) + within]


def _as_uint64(column: pa.ChunkedArray) -> np.ndarray:
    """Integer columns as they are, 128-bit hashes by their first half."""
    array = column.combine_chunks()
    if pa.types.is_fixed_size_binary(array.type):
        raw = np.frombuffer(array.buffers()[1], np.uint64)[2 * array.offset :]
        return raw[: 2 * len(array) : 2].copy()
    return np.asarray(array)


# ---------------------------------------------------------------------------------------------------------
# Pass 2: what must be known of each candidate


@dataclass(frozen=True)
class _Facts:
    ids: np.ndarray  # ID_WORDS, by candidate
    contents: np.ndarray  # ID_WORDS
    values: np.ndarray  # uint64, the shingle sets one after the other
    offsets: np.ndarray  # int64 [n + 1]


def _facts(corpus: Corpus, sources: Sequence[Source], rows: np.ndarray, scratch: Path) -> _Facts:
    ordinals = (rows >> np.uint64(ROW_BITS)).astype(np.int64)
    wanted = {
        str(ordinal): (sources[ordinal], (rows[ordinals == ordinal] & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64))
        for ordinal in np.unique(ordinals)
    }
    ngram = corpus.settings.duplicates.ngram
    if wanted:
        from pipelines.beam import run_map

        run_map(_Shingle(wanted, ngram, str(scratch)), list(wanted), corpus.settings.engine)
    loaded = [np.load(scratch / f"facts-{ordinal}.npz") for ordinal in wanted]
    lengths = np.concatenate([one["lengths"] for one in loaded]) if loaded else np.empty(0, np.int64)
    empty = np.empty(0, ID_WORDS)
    return _Facts(
        # concatenate() turns the words to this machine's byte order; ids are written as they stand in memory
        ids=np.concatenate([empty, *(one["ids"] for one in loaded)]).astype(ID_WORDS),
        contents=np.concatenate([empty, *(one["contents"] for one in loaded)]).astype(ID_WORDS),
        values=np.concatenate([np.empty(0, np.uint64), *(one["values"] for one in loaded)]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


@dataclass(frozen=True)
class _Shingle:
    """Writes ids, content hashes and sorted shingle sets of one part's candidates."""

    wanted: dict[str, tuple[Source, np.ndarray]]
    ngram: int
    scratch: str

    def __call__(self, item: str) -> None:
        source, rows = self.wanted[item]
        texts = source.texts.read(source.name, ["id", "text"])
        hashes = source.signatures.read(source.name, ["id", "content_hash"])
        aligned(texts, hashes)
        sets = [minhash.exact_shingles(text, self.ngram) for text in texts["text"].take(rows).to_pylist()]
        with (Path(self.scratch) / f"facts-{item}.npz").open("wb") as file:
            np.savez(
                file,
                ids=_sixteen(texts["id"].take(rows)),
                contents=_sixteen(hashes["content_hash"].take(rows)),
                lengths=np.array([len(one) for one in sets], np.int64),
                values=np.concatenate(sets) if sets else np.empty(0, np.uint64),
            )


def _sixteen(column: pa.ChunkedArray) -> np.ndarray:
    return np.frombuffer(b"".join(column.to_pylist()), ID_WORDS)


def _rows_of(source: Source, found: pa.Table) -> tuple[pa.Table, dict[str, Any]]:
    """The part's rows of `duplicates`, aligned with its documents."""
    signatures = source.signatures.read(source.name, ["id"])
    ids = signatures["id"].combine_chunks()
    rows = np.asarray(found["row"])
    mine = np.flatnonzero(rows >> np.uint64(ROW_BITS) == source.ordinal)
    places = (rows[mine] & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
    keeper: list[bytes | None] = [None] * len(ids)
    method: list[str | None] = [None] * len(ids)
    for place, row in zip(places.tolist(), found.take(mine).to_pylist(), strict=True):
        keeper[place], method[place] = row["keeper"], row["method"]
    names = [name for name in method if name]
    read = int(source.kept(signatures).sum())
    counts = {
        "read": read,
        "kept": read - len(names),
        "dropped": {f"duplicate_{name}": names.count(name) for name in sorted(set(names))},
    }
    table = pa.table([ids, pa.array(keeper, ID), pa.array(method, pa.string())], schema=DUPLICATES)
    return table, counts


def _scratch(corpus: Corpus) -> Path:
    """A folder for one run's pairs and sets; a runner on other machines needs it on a shared disk (TMPDIR)."""
    return Path(tempfile.mkdtemp(prefix="sirdar-duplicates-"))
