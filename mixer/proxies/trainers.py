"""The trainer of a corpus: its token pools, and the held-out texts that its proxies are measured on."""

import atexit
import shutil
from collections.abc import Sequence
from pathlib import Path

from mixer import lineage as mixing
from mixer.objectives import evaluations, objective_of, tasks, texts
from mixer.place import mirror
from mixer.proxies.external import CommandEvaluator, CommandTrainer
from mixer.proxies.handover import write_context
from mixer.proxies.trainer import ProcessTrainer, num_cores
from pipelines.clusters import read_clusters
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError
from pipelines.fitting import tokenizer_json
from pipelines.pooling import open_pool

_TRAINERS: dict[tuple[str, ...], ProcessTrainer | CommandTrainer] = {}


def trainer_of(corpus: Corpus, split: str) -> ProcessTrainer | CommandTrainer:
    """One trainer for all rounds of a process: its children take seconds to import torch."""
    stage = mixing.search(corpus)
    # Settings beside the label are those that no digest holds.
    apart = (corpus.settings.engine, corpus.settings.search.max_program_minutes)
    key = (corpus.workspace.root, stage.label, split, repr(apart))
    if key not in _TRAINERS:
        close_trainers()
        atexit.unregister(close_trainers)
        atexit.register(close_trainers)
        folder = corpus.workspace.local(*stage.steps) if corpus.workspace.is_local else mirror(stage)
        _TRAINERS[key] = _own(corpus, split, folder) if corpus.settings.search.trainer else _ours(corpus, split, folder)
    return _TRAINERS[key]


def peak_bytes() -> int:
    """Peak resident bytes of the largest training process that this process keeps; 0: not known."""
    return max((trainer.peak_bytes for trainer in _TRAINERS.values()), default=0)


def close_trainers() -> None:
    """End the training processes that this one keeps for its next round."""
    for trainer in _TRAINERS.values():
        trainer.close()
    _TRAINERS.clear()


# ---------------------------------------------------------------------------------------------------------


def _ours(corpus: Corpus, split: str, folder: Path) -> ProcessTrainer:
    pool = open_pool(corpus)
    command, max_minutes = corpus.settings.search.evaluator, corpus.settings.search.max_program_minutes
    if command:
        _must_be_there(command, "evaluator")
    return ProcessTrainer(
        [pool.tokens(bucket, "train") for bucket in range(pool.num_buckets)],
        evaluations(corpus, split),
        vocabulary=pool.vocabulary,
        workers=corpus.settings.engine.workers,
        device=corpus.settings.engine.device,
        checkpoints=folder / "checkpoints",
        evaluator=CommandEvaluator(command, tokenizer_json(corpus), split, max_minutes) if command else None,
    )


def _own(corpus: Corpus, split: str, folder: Path) -> CommandTrainer:
    command = corpus.settings.search.trainer
    _must_be_there(command, "trainer")
    context = write_context(
        folder / f"context-{split}",
        split=split,
        objective=objective_of(corpus, split).names,
        pool=open_pool(corpus),
        names=read_clusters(corpus)["name"].to_pylist(),
        tokenizer=tokenizer_json(corpus),
        evaluations=texts(corpus, split),
        tasks=tasks(corpus, split),
    )
    return CommandTrainer(
        command,
        context=context,
        workers=corpus.settings.engine.workers or num_cores(),
        max_minutes=corpus.settings.search.max_program_minutes,
    )


def _must_be_there(command: Sequence[str], setting: str) -> None:
    if shutil.which(command[0]) is None:
        raise SettingsError(
            f"search.{setting} = {list(command)}: no program {command[0]!r} that can be run; give its path, and the"
            f' words of the command one by one, e.g. --set \'search.{setting}=["python3", "/path/to/it.py"]\''
        )
