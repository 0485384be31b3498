"""Text that several documents hold: it stays in the first of them and is cut from the others.

Documents stand in keeper order: by the age of their crawl, then by id. Of a unit that occurs again and again (a line,
a paragraph, sentences in a row, words in a row: pipelines/duplicates/units.py) the first occurrence in that order
stays, and within one document the first place; the others become spans, so that what is cut follows from the texts
alone. A later crawl's documents come after all earlier ones, so it changes nothing of theirs.

Four steps: (1) every document that verdicts and duplicates keep gets its number in keeper order; (2) each part is cut
into units, in the workers; (3) the units meet by hash in a group-by over arrays, as many buckets at a time as the
memory setting allows; (4) the later occurrences become spans of their documents. Places are bytes of the text after
`edits`; the column `edits` of this stage holds both, of the original text, and readers take it instead.

A document of which too little is left is dropped, if anything was cut from it. It keeps what it keeps from others of
its own crawl all the same; later crawls look at it no more. 64 bits are compared: of 10 billion units in a corpus, two
or three pairs agree by chance.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.columns import Inputs, Tables, kept_rows, parts_of
from pipelines.corpus import Corpus, Report
from pipelines.duplicates.occurrences import ROW_BITS, UNIT, Found, cuts, later
from pipelines.duplicates.units import sizes, units
from pipelines.edits.composing import composed
from pipelines.edits.spans import EDITS, edited, no_edits, reasons
from pipelines.engine import run_map
from pipelines.records import ID, ID_WORDS
from pipelines.settings import Repeats
from pipelines.store import aligned

TOO_FEW_WORDS, TOO_FEW_SENTENCES = "repeats_too_few_words", "repeats_too_few_sentences"
REPEATS = pa.schema(
    [pa.field("id", ID, nullable=False), pa.field("edits", EDITS, nullable=False), pa.field("reason", pa.string())]
)

NUM_BUCKETS = 256
BYTES_PER_UNIT = 160  # on its way through the local runner, measured

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A part of this crawl, or of one before it; `inputs` say which of its documents take part."""

    name: str
    crawl: str
    inputs: Inputs
    own: bool

    def tables(self, *names: str) -> Tables:
        """Columns of the stages of those names, with the ids; StoreError where these differ."""
        tables = {name: stage.read(self.name, ("id", *columns)) for name, (stage, columns) in self.inputs.items()
                  if name in names}  # fmt: skip
        aligned(*tables.values())
        return tables


def run_repeats(corpus: Corpus, crawl: str) -> Report:
    """Cut from this crawl's documents what stands in an earlier one too."""
    stage = lineage.repeats(corpus, crawl)
    parts = _parts(corpus, crawl)
    search = _Search(corpus, parts)

    def write(name: str) -> tuple[int, int]:
        ordinal = next(ordinal for ordinal, part in enumerate(parts) if part.own and part.name == name)
        table, counts = _rows_of(parts[ordinal], search.found_in(ordinal), corpus.settings.repeats)
        stage.commit(name, table, counts=counts)
        return table.num_rows, 0

    # Writing is the driver's, which has what was found; cutting takes about as long as reading.
    return corpus.run(stage, [part.name for part in parts if part.own], write, on_driver=True)


def _parts(corpus: Corpus, crawl: str) -> tuple[Part, ...]:
    """In keeper order of their crawls."""
    found = []
    order = corpus.crawl(crawl).order
    for other in corpus.crawls[: order + 1]:
        inputs = {
            "documents": (lineage.documents(corpus, other.name), ("text",)),
            "edits": (lineage.edits(corpus, other.name), ("edits",)),
            "verdicts": (lineage.verdicts(corpus, other.name), ("reason",)),
            "duplicates": (lineage.duplicates(corpus, other.name), ("duplicate_of",)),
        }
        if other.order < order:
            inputs["repeats"] = (lineage.repeats(corpus, other.name), ("reason",))
        found += [Part(name, other.name, inputs, other.order == order) for name in parts_of(corpus, other.name)]
    return tuple(found)


def _rows_of(part: Part, found: Found, settings: Repeats) -> tuple[pa.Table, dict[str, Any]]:
    """The part's rows of `repeats`; `found` says `document` for its row."""
    tables = part.tables("documents", "edits", "verdicts", "duplicates")
    before, texts = tables["edits"]["edits"].combine_chunks(), tables["documents"]["text"]
    kept = kept_rows(tables)
    rows = np.unique(found["document"]).astype(np.int64)
    between = edited(texts.take(pa.array(rows)), before.take(pa.array(rows)))
    cut = cuts(between, found, rows)
    left = edited(between, cut)
    words, sentences = sizes(left)
    why = np.full(len(kept), None, object)
    why[rows[sentences < settings.min_doc_sentences]] = TOO_FEW_SENTENCES
    why[rows[words < max(1, settings.min_doc_words)]] = TOO_FEW_WORDS
    place = np.full(len(kept), len(rows), np.int64)
    place[rows] = np.arange(len(rows))
    every = pa.concat_arrays([cut, no_edits(1)]).take(pa.array(place))
    reason = pa.array(why, pa.string())
    table = pa.table([tables["documents"]["id"].combine_chunks(), composed(before, every), reason], schema=REPEATS)
    dropped = {row["values"]: row["counts"] for row in pc.value_counts(reason.drop_null()).to_pylist()}
    num_kept = int(kept.sum())
    counts = {"read": num_kept, "kept": num_kept - sum(dropped.values()), "dropped": dropped}
    return table, {**counts, "spans": dict(reasons(cut))}


# ---------------------------------------------------------------------------------------------------------
# The search


@dataclass(frozen=True)
class _Search:
    corpus: Corpus
    parts: tuple[Part, ...]

    @cached_property
    def found(self) -> Found:
        """Later occurrences in this crawl's documents, by (part ordinal, row); worked out when a part is missing."""
        with _scratch() as scratch:
            documents = self._number(scratch)
            num_earlier = sum(not part.own for part in self.parts)
            first_own = int((documents >> ROW_BITS < num_earlier).sum())
            self._meet(scratch, first_own)
            found = [np.load(path) for path in sorted(scratch.glob("found-*.npy"))]
        every = np.concatenate([np.empty(0, UNIT), *found])
        every["document"] = documents[every["document"]]
        return every[np.argsort(every["document"], kind="stable")]

    def found_in(self, ordinal: int) -> Found:
        """Those in one part, `document` being the row."""
        begin, end = np.searchsorted(self.found["document"], [ordinal << ROW_BITS, (ordinal + 1) << ROW_BITS])
        found = self.found[begin:end].copy()
        found["document"] &= (1 << ROW_BITS) - 1
        return found

    def _number(self, scratch: Path) -> I64:
        """(part ordinal << ROW_BITS | row) of each document that takes part, in keeper order.

        Writes the numbers of each part's rows, -1 where one takes no part.
        """
        numbered: list[I64] = [np.empty(0, np.int64)]
        count = 0
        ordinals = dict.fromkeys(part.crawl for part in self.parts)
        for crawl in ordinals:
            own = [ordinal for ordinal, part in enumerate(self.parts) if part.crawl == crawl]
            ids, places = [np.empty(0, ID_WORDS)], [np.empty(0, np.int64)]
            sizes = {}
            for ordinal in own:
                tables = self.parts[ordinal].tables("verdicts", "duplicates", "repeats")
                rows = np.flatnonzero(kept_rows(tables))
                sizes[ordinal] = tables["verdicts"].num_rows
                ids.append(np.frombuffer(b"".join(tables["verdicts"]["id"].take(pa.array(rows)).to_pylist()), ID_WORDS))
                places.append(rows | ordinal << ROW_BITS)
            keys, where = np.concatenate(ids).astype(ID_WORDS), np.concatenate(places)
            where = where[np.lexsort((keys["low"], keys["high"]))]
            for ordinal in own:
                mine = np.flatnonzero(where >> ROW_BITS == ordinal)
                numbers = np.full(sizes[ordinal], -1, np.int64)
                numbers[where[mine] & ((1 << ROW_BITS) - 1)] = count + mine
                np.save(scratch / f"numbers-{ordinal}.npy", numbers)
            numbered.append(where)
            count += len(where)
        return np.concatenate(numbered)

    def _meet(self, scratch: Path, first_own: int) -> None:
        """Cut every part into units, and let those of equal hashes meet."""
        from pipelines.beam import run_group_by  # Beam takes seconds to import

        engine = self.corpus.settings.engine
        items = [str(ordinal) for ordinal in range(len(self.parts))]
        run_map(_Cut(self.parts, self.corpus.settings.repeats, scratch), items, engine)
        count = sum(int(np.load(scratch / f"bounds-{item}.npy")[-1]) for item in items)
        per_pass = max(1, NUM_BUCKETS * engine.memory_bytes // max(1, count * BYTES_PER_UNIT))
        for start in range(0, NUM_BUCKETS, per_pass):
            stop = min(NUM_BUCKETS, start + per_pass)
            run_group_by(partial(_emit, scratch, start, stop), partial(_keep_first, scratch, first_own), items, engine)


@dataclass(frozen=True)
class _Cut:
    """Writes the units of one part's documents, by bucket of their hashes."""

    parts: tuple[Part, ...]
    settings: Repeats
    scratch: Path

    def __call__(self, item: str) -> None:
        numbers = np.load(self.scratch / f"numbers-{item}.npy")
        tables = self.parts[int(item)].tables("documents", "edits")
        rows = np.flatnonzero(numbers >= 0)
        chosen = pa.array(rows)
        texts = edited(tables["documents"]["text"].take(chosen), tables["edits"]["edits"].take(chosen))
        found = units(texts, self.settings)
        table = np.empty(len(found.hashes), UNIT)
        table["hash"], table["document"] = found.hashes, numbers[rows][found.texts]
        table["start"], table["end"], table["kind"] = found.starts, found.ends, found.kinds
        bucket = (found.hashes % np.uint64(NUM_BUCKETS)).astype(np.int64)
        np.save(self.scratch / f"units-{item}.npy", table[np.argsort(bucket, kind="stable")])
        counts = np.bincount(bucket, minlength=NUM_BUCKETS)
        np.save(self.scratch / f"bounds-{item}.npy", np.concatenate([[0], np.cumsum(counts)]))


def _emit(scratch: Path, start: int, stop: int, item: str) -> Iterator[tuple[int, Found]]:
    """(bucket, units) of one part, for buckets `start` to `stop`."""
    table = np.load(scratch / f"units-{item}.npy", mmap_mode="r")
    bounds = np.load(scratch / f"bounds-{item}.npy").tolist()
    for bucket in range(start, stop):
        if bounds[bucket] < bounds[bucket + 1]:
            yield bucket, np.array(table[bounds[bucket] : bounds[bucket + 1]])


def _keep_first(scratch: Path, first_own: int, bucket: int, batches: list[Found]) -> None:
    """Write the later occurrences of a bucket's units that are this crawl's."""
    found = later(np.concatenate(batches))
    # By number, so that a bucket done twice counts once.
    np.save(scratch / f"found-{bucket}.npy", found[found["document"] >= first_own])


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for one run's units; a runner on other machines needs it on a shared disk (TMPDIR)."""
    folder = Path(tempfile.mkdtemp(prefix="sirdar-repeats-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
