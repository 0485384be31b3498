"""Text that several documents hold: it stays in the first of them and is cut from the others.

Documents stand in keeper order: by the age of their crawl, then by id. Of a unit that occurs again and again (a line,
a paragraph, sentences in a row, words in a row: pipelines/duplicates/units.py) the first occurrence in that order
stays, and within one document the first place; the others become spans, so that what is cut follows from the texts
alone. A later crawl's documents come after all earlier ones, so it changes nothing of theirs.

A document of which too little is left is dropped, if anything was cut from it, and keeps nothing: what it held stays in
the next document that has it, so that no text leaves the corpus with a document that was dropped for having been cut.

Four steps: (1) every document that verdicts and duplicates keep gets its number in keeper order; (2) each part is cut
into units; (3) the units meet by hash, as many at a time as the memory setting allows, and documents are judged by what
is left of them, in rounds (pipelines/duplicates/keepers.py); (4) the later occurrences become spans of their documents.
Places are bytes of the text after `edits`; the column `edits` of this stage holds both, of the original text, and
readers take it instead. 64 bits are compared: of 10 billion units in a corpus, two or three pairs agree by chance.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.columns import kept_rows
from pipelines.corpus import Corpus, Report
from pipelines.duplicates.keeper_order import Part, parts_in_order
from pipelines.duplicates.keepers import Settled, Whys, settled
from pipelines.duplicates.occurrences import Found, cuts
from pipelines.edits.composing import composed
from pipelines.edits.spans import EDITS, edited, no_edits, reasons
from pipelines.engine import scratch_folder
from pipelines.records import ID

REASONS = (None, "repeats_too_few_words", "repeats_too_few_sentences")  # as the keepers number them
REPEATS = pa.schema(
    [pa.field("id", ID, nullable=False), pa.field("edits", EDITS, nullable=False), pa.field("reason", pa.string())]
)


def run_repeats(corpus: Corpus, crawl: str) -> Report:
    """Cut from this crawl's documents what stands in an earlier one too."""
    stage = lineage.repeats(corpus, crawl)
    parts = parts_in_order(corpus, crawl)
    ordinals = {part.name: ordinal for ordinal, part in enumerate(parts) if part.own}
    with ExitStack() as held:
        search = _Search(corpus, parts, held)

        def write(name: str) -> tuple[int, int]:
            ordinal = ordinals[name]
            table, counts = _rows_of(parts[ordinal], *search.settled.of(ordinal))
            stage.commit(name, table, counts=counts)
            return table.num_rows, 0

        # Writing is the driver's, which has the scratch folder; cutting takes about as long as reading.
        return corpus.run(stage, list(ordinals), write, on_driver=True)


@dataclass(frozen=True)
class _Search:
    corpus: Corpus
    parts: tuple[Part, ...]
    held: ExitStack

    @cached_property
    def settled(self) -> Settled:
        """What is cut and who goes; worked out when a part is missing."""
        settings = self.corpus.settings
        scratch = self.held.enter_context(scratch_folder("repeats"))
        return settled(self.parts, settings.repeats, settings.engine, scratch)


def _rows_of(part: Part, found: Found, why: Whys) -> tuple[pa.Table, dict[str, Any]]:
    """The part's rows of `repeats`; `found` says `document` for its row."""
    tables = part.tables("documents", "edits", "verdicts", "duplicates")
    before, texts = tables["edits"]["edits"].combine_chunks(), tables["documents"]["text"]
    kept = kept_rows(tables)
    rows = np.unique(found["document"]).astype(np.int64)
    cut = cuts(edited(texts.take(pa.array(rows)), before.take(pa.array(rows))), found, rows)
    place = np.full(len(kept), len(rows), np.int64)
    place[rows] = np.arange(len(rows))
    every = pa.concat_arrays([cut, no_edits(1)]).take(pa.array(place))
    reason = pa.array(REASONS, pa.string()).take(pa.array(why))
    table = pa.table([tables["documents"]["id"].combine_chunks(), composed(before, every), reason], schema=REPEATS)
    dropped = {row["values"]: row["counts"] for row in pc.value_counts(reason.drop_null()).to_pylist()}
    num_kept = int(kept.sum())
    counts = {"read": num_kept, "kept": num_kept - sum(dropped.values()), "dropped": dropped}
    return table, {**counts, "spans": dict(reasons(cut))}
