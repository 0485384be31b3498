"""The documents that a search for repeated text looks at, in keeper order: by the age of their crawl, then by id."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import lineage
from pipelines.columns import Inputs, Tables, kept_rows, parts_of
from pipelines.corpus import Corpus
from pipelines.records import ID_WORDS
from pipelines.row_numbers import ROW_BITS
from pipelines.store import aligned

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


def parts_in_order(corpus: Corpus, crawl: str) -> tuple[Part, ...]:
    """Those of the crawls before, oldest first, then the crawl's own."""
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


def number(parts: tuple[Part, ...], scratch: Path) -> I64:
    """(part ordinal << ROW_BITS | row) of each document that takes part, in keeper order.

    Writes that as documents.npy, and the numbers of each part's rows as numbers-ORDINAL.npy, -1 where a row takes no
    part.
    """
    numbered: list[I64] = [np.empty(0, np.int64)]
    count = 0
    for crawl in dict.fromkeys(part.crawl for part in parts):
        ordinals = [ordinal for ordinal, part in enumerate(parts) if part.crawl == crawl]
        ids, places = [np.empty(0, ID_WORDS)], [np.empty(0, np.int64)]
        sizes = {}
        for ordinal in ordinals:
            tables = parts[ordinal].tables("verdicts", "duplicates", "repeats")
            rows = np.flatnonzero(kept_rows(tables))
            sizes[ordinal] = tables["verdicts"].num_rows
            ids.append(np.frombuffer(b"".join(tables["verdicts"]["id"].take(pa.array(rows)).to_pylist()), ID_WORDS))
            places.append(rows | ordinal << ROW_BITS)
        keys, where = np.concatenate(ids).astype(ID_WORDS), np.concatenate(places)
        where = where[np.lexsort((keys["low"], keys["high"]))]
        for ordinal in ordinals:
            mine = np.flatnonzero(where >> ROW_BITS == ordinal)
            numbers = np.full(sizes[ordinal], -1, np.int64)
            numbers[where[mine] & ((1 << ROW_BITS) - 1)] = count + mine
            np.save(scratch / f"numbers-{ordinal}.npy", numbers)
        numbered.append(where)
        count += len(where)
    documents = np.concatenate(numbered)
    np.save(scratch / "documents.npy", documents)
    return documents
