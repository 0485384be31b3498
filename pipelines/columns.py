"""New columns beside the documents: how a stage of rows reads its inputs, and what is kept so far.

A stage of rows is one pure function from tables (by stage, aligned row by row) to a table of new columns and counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.corpus import Corpus, Report, forget_peak, peak_memory
from pipelines.records import ID
from pipelines.store import Stage, aligned

Tables = Mapping[str, pa.Table]
Rows = tuple[pa.Table, dict[str, Any]]  # the new columns, and what to count
Inputs = Mapping[str, tuple[Stage, tuple[str, ...]]]

# The column in which a stage says why a row goes; null where it stays.
DROPS = {
    "verdicts": "reason",
    "duplicates": "duplicate_of",
    "repeats": "reason",
    "semantic": "semantic_duplicate_of",
}


def run_rows(corpus: Corpus, stage: Stage, inputs: Inputs, function: Callable[[Tables], Rows]) -> Report:
    """Every part of a stage of rows that is missing."""
    return corpus.run(stage, parts_of(corpus, stage.recipe.crawl), RowMap(function, stage, inputs))


@dataclass(frozen=True)
class RowMap:
    """One part through one pure function: read the columns it needs, check the ids, commit what it returns."""

    function: Callable[[Tables], Rows]
    output: Stage
    inputs: Inputs

    def __call__(self, part: str) -> tuple[int, int]:
        forget_peak()
        tables = {name: stage.read(part, ("id", *columns)) for name, (stage, columns) in self.inputs.items()}
        aligned(*tables.values())
        rows, counts = self.function(tables)
        table = rows.add_column(0, pa.field("id", ID, nullable=False), next(iter(tables.values()))["id"])
        self.output.commit(part, table, counts=counts)
        return table.num_rows, peak_memory()


def columns_of(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Columns by name."""
    return dict(zip(table.column_names, table.columns, strict=True))


def parts_of(corpus: Corpus, crawl: str) -> list[str]:
    """Names of the crawl's parts, those of its documents."""
    return [part["part"] for part in lineage.documents(corpus, crawl).finished()["parts"]]


def dropping(corpus: Corpus, crawl: str, *, clustered: bool = True) -> dict[str, tuple[Stage, tuple[str, ...]]]:
    """The stages that drop rows of a crawl, as inputs; without `clustered`, those before the clusters."""
    stages = lineage.dropping(corpus, crawl, clustered=clustered)
    return {stage.recipe.stage: (stage, (DROPS[stage.recipe.stage],)) for stage in stages}


def kept_rows(tables: Tables) -> np.ndarray:
    """bool [rows]: dropped by none of the stages among the tables."""
    whys = [tables[name][column] for name, column in DROPS.items() if name in tables]
    kept = pc.is_null(whys[0])
    for why in whys[1:]:
        kept = pc.and_(kept, pc.is_null(why))
    return np.asarray(kept)
