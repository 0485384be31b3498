"""Tests in a finished dataset: its own texts are looked through, as its readers will see them.

The verdicts have dropped what was contaminated; this finds what came back, where an edit joined text or a test was
named after the verdicts.
"""

from collections.abc import Sequence
from functools import partial

from pipelines.contamination.evidence import Check, check_dataset, together
from pipelines.corpus import Corpus
from pipelines.errors import ContaminationError
from pipelines.settings import Decontamination
from pipelines.store import Stage
from pipelines.workers import shared_pool


def must_hold_no_test(corpus: Corpus, stage: Stage, paths: Sequence[str]) -> None:
    """ContaminationError where the shards hold a test; with action = report none is looked for."""
    if corpus.settings.decontamination.action == "report":
        return
    found = check(corpus, stage, paths)
    if found.contaminated:
        raise ContaminationError(f"{stage.label}: {told(found)}")


def check(corpus: Corpus, stage: Stage, paths: Sequence[str]) -> Check:
    """Every text of the shards against `decontamination.sets`, shard by shard in this machine's workers.

    Nothing is read where there are no sets.
    """
    settings = corpus.settings.decontamination
    found: dict[str, Check] = {}
    if settings.sets:
        shared_pool(corpus.settings.engine.workers).run(partial(_of_shard, stage, settings), paths, found.__setitem__)
    return together([found[path] for path in paths if path in found])


def told(found: Check) -> str:
    """One line: how many documents, of which tests, and the first place."""
    tasks = ", ".join(f"{name} {count}" for name, count in found.by_task.items())
    first = found.examples[0]
    return (
        f"{found.contaminated} of {found.documents} documents share word n-grams with tests ({tasks}); the first is "
        f"row {first.row} of {first.shard}, item {first.item} of {first.task}: {first.excerpt!r}"
    )


def _of_shard(stage: Stage, settings: Decontamination, path: str) -> Check:
    with stage.workspace.parquet(*stage.steps, *path.split("/")) as file:
        return check_dataset(((path, batch["text"]) for batch in file.iter_batches(columns=["text"])), settings)
