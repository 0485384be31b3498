"""The parts that a search for duplicates looks at, in keeper order, and which of their rows take part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.row_numbers import ROW_BITS
from pipelines.store import Stage, aligned

TARGET_AGE = -1

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Source:
    """A part that takes part: where its signatures, texts and verdicts are."""

    name: str
    ordinal: int
    age: int  # the crawl's order; TARGET_AGE for targets
    signatures: Stage
    texts: Stage
    verdicts: Stage | None  # None for targets
    duplicates: Stage | None  # of an earlier crawl; None for this one and for targets

    def kept(self, signatures: pa.Table) -> Bools:
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

    @property
    def own(self) -> bool:
        """Of the crawl whose duplicates are looked for."""
        return self.verdicts is not None and self.duplicates is None

    @property
    def num_rows(self) -> int:
        return int(self.signatures.sidecar(self.name)["rows"])


def sources_of(corpus: Corpus, crawl: str) -> tuple[Source, ...]:
    """Targets first, then the crawls by age: a row of a smaller ordinal is never a duplicate of a larger one's."""
    targets = lineage.targets(corpus)
    given: list[tuple[str, int, Stage, Stage, Stage | None, Stage | None]] = [
        (part, TARGET_AGE, targets, targets, None, None) for part in _finished_parts(targets)
    ]
    order = corpus.crawl(crawl).order
    for other in corpus.crawls[: order + 1]:
        documents = lineage.documents(corpus, other.name)
        duplicates = lineage.duplicates(corpus, other.name) if other.order < order else None
        signatures, verdicts = lineage.signatures(corpus, other.name), lineage.verdicts(corpus, other.name)
        given += [
            (part, other.order, signatures, documents, verdicts, duplicates) for part in _finished_parts(documents)
        ]
    return tuple(Source(one[0], ordinal, *one[1:]) for ordinal, one in enumerate(given))


def first_own(sources: Sequence[Source]) -> int:
    """The smallest number of a row of this crawl."""
    return next((source.ordinal for source in sources if source.own), len(sources)) << ROW_BITS


def _finished_parts(stage: Stage) -> list[str]:
    """Those of the manifest: a folder may hold more, of a run that has not ended."""
    return [part["part"] for part in stage.finished()["parts"]]
