"""What duplicates cost: sizes of groups, and how much of each source they took.

Transitive closure over templates has wiped whole sources of published corpora, unnoticed, so both are told: the
sizes in the stage's counts, the losses by source from the stage's rows, in memory of one part and the sources.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.settings import Duplicates

MAX_TOLD = 20  # groups that the counts name

Ids = npt.NDArray[np.void]  # of ID_WORDS

SOURCE_LOSSES = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("read", pa.int64()),  # rows that the verdicts keep
        pa.field("dropped", pa.int64()),  # duplicates among them
        pa.field("loss", pa.float64()),  # their share
    ]
)


def group_counts(keepers: Ids) -> dict[str, Any]:
    """Groups by size ("2", "3-4", "5-8", ...; the keeper counts) and the largest ones by their keeper's id.

    `keepers` has the keeper's id of each duplicate of this crawl.
    """
    ids, counts = np.unique(keepers, return_counts=True)
    sizes = counts + 1
    steps, groups = np.unique(np.ceil(np.log2(sizes)).astype(np.int64), return_counts=True)
    largest = np.lexsort((np.arange(len(ids)), -sizes))[:MAX_TOLD]
    return {
        "groups": {_span(step): count for step, count in zip(steps.tolist(), groups.tolist(), strict=True)},
        "largest_groups": {ids[place].tobytes().hex(): int(sizes[place]) for place in largest},
    }


def _span(step: int) -> str:
    """Sizes whose logarithm to base 2, rounded up, is `step`."""
    return str(1 << step) if step < 2 else f"{(1 << (step - 1)) + 1}-{1 << step}"


def oversized_groups(counts: Mapping[str, Any], settings: Duplicates) -> dict[str, int]:
    """Of a stage's counts: the largest groups of more than `max_group` rows, by their keeper's id; none for 0.

    Every member is similar to the keeper itself, so a large group is one much copied text and no chain.
    """
    largest: Mapping[str, int] = counts.get("largest_groups", {})
    return {key: size for key, size in largest.items() if 0 < settings.max_group < size}


def source_losses(corpus: Corpus, crawl: str) -> pa.Table:
    """SOURCE_LOSSES of a finished crawl, largest loss first."""
    documents, verdicts = lineage.documents(corpus, crawl), lineage.verdicts(corpus, crawl)
    duplicates = lineage.duplicates(corpus, crawl)
    table = SOURCE_LOSSES.empty_table().select(["source", "read", "dropped"])
    for part in duplicates.finished()["parts"]:
        name = part["part"]
        dropped = duplicates.read(name, ["duplicate_of"])["duplicate_of"]
        rows = pa.table(
            {
                "source": documents.read(name, ["source"])["source"],
                "read": pc.is_null(verdicts.read(name, ["reason"])["reason"]).cast(pa.int64()),
                "dropped": pc.is_valid(dropped).cast(pa.int64()),
            }
        )
        table = _by_source(pa.concat_tables([table, _by_source(rows)]))
    losses = pc.divide(table["dropped"].cast(pa.float64()), pc.max_element_wise(table["read"], 1))
    order = [("loss", "descending"), ("dropped", "descending"), ("source", "ascending")]
    return table.append_column("loss", losses).cast(SOURCE_LOSSES).sort_by(order)


def _by_source(rows: pa.Table) -> pa.Table:
    summed = rows.group_by("source").aggregate([("read", "sum"), ("dropped", "sum")])
    return summed.rename_columns({"read_sum": "read", "dropped_sum": "dropped"}).select(["source", "read", "dropped"])


def wiped_sources(losses: pa.Table, settings: Duplicates) -> pa.Table:
    """The rows of `source_losses` with `min_source_documents` or more that lose more than `max_source_loss`."""
    enough = pc.greater_equal(losses["read"], settings.min_source_documents)
    return losses.filter(pc.and_(enough, pc.greater(losses["loss"], settings.max_source_loss)))
