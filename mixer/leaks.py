"""Tests in a finished dataset: its own texts are looked through, as its readers will see them.

The verdicts have dropped what was contaminated; this finds what came back, where an edit joined text or a test was
named after the verdicts.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from pipelines.contamination.evidence import Check, check_dataset
from pipelines.corpus import Corpus
from pipelines.errors import ContaminationError
from pipelines.store import Stage


def must_hold_no_test(corpus: Corpus, stage: Stage, paths: Sequence[str]) -> None:
    """ContaminationError where the shards hold a test; with action = report none is looked for."""
    if corpus.settings.decontamination.action == "report":
        return
    found = check(corpus, stage, paths)
    if found.contaminated:
        raise ContaminationError(f"{stage.label}: {told(found)}")


def check(corpus: Corpus, stage: Stage, paths: Sequence[str]) -> Check:
    """Every text of the shards against `decontamination.sets`; nothing is read where there are none."""
    settings = corpus.settings.decontamination
    return check_dataset(_texts(stage, paths) if settings.sets else (), settings)


def told(found: Check) -> str:
    """One line: how many documents, of which tests, and the first place."""
    tasks = ", ".join(f"{name} {count}" for name, count in found.by_task.items())
    first = found.examples[0]
    return (
        f"{found.contaminated} of {found.documents} documents share word n-grams with tests ({tasks}); the first is "
        f"row {first.row} of {first.shard}, item {first.item} of {first.task}: {first.excerpt!r}"
    )


def _texts(stage: Stage, paths: Sequence[str]) -> Iterator[tuple[str, pa.Array | Any]]:
    for path in paths:
        with stage.workspace.parquet(*stage.steps, *path.split("/")) as file:
            for batch in file.iter_batches(columns=["text"]):
                yield path, batch["text"]
