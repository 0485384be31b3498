"""The trainer of a corpus: its token pools, and the held-out texts that its proxies are measured on."""

import atexit
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc

from mixer import lineage as mixing
from mixer.data import Evaluation
from mixer.external import CommandEvaluator, CommandTrainer
from mixer.handover import write_context
from mixer.place import mirror
from mixer.trainer import ProcessTrainer, num_cores
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError
from pipelines.fitting import read_clusters, tokenizer_json
from pipelines.pooling import open_pool, read_evaluations

SEARCH, FINAL = "search", "final"  # the splits of a target; the search sees the first alone

_TRAINERS: dict[tuple[str, ...], ProcessTrainer | CommandTrainer] = {}


def trainer_of(corpus: Corpus, split: str) -> ProcessTrainer | CommandTrainer:
    """One trainer for all rounds of a process: its children take seconds to import torch."""
    stage = mixing.search(corpus)
    key = (corpus.workspace.root, stage.label, split, repr(corpus.settings.engine))
    if key not in _TRAINERS:
        close_trainers()
        atexit.unregister(close_trainers)
        atexit.register(close_trainers)
        folder = corpus.workspace.local(*stage.steps) if corpus.workspace.is_local else mirror(stage)
        _TRAINERS[key] = _own(corpus, split, folder) if corpus.settings.search.trainer else _ours(corpus, split, folder)
    return _TRAINERS[key]


def close_trainers() -> None:
    """End the training processes that this one keeps for its next round."""
    for trainer in _TRAINERS.values():
        trainer.close()
    _TRAINERS.clear()


def loss_name(split: str, target: str) -> str:
    return f"{split}/{target}"


def objective_loss(corpus: Corpus, split: str) -> str:
    """The name of the loss that the search minimises; a loss of the user's own program has one name in both splits."""
    name = mixing.objective(corpus)
    return loss_name(split, name) if name in {target.name for target in corpus.settings.targets} else name


# ---------------------------------------------------------------------------------------------------------


def _ours(corpus: Corpus, split: str, folder: Path) -> ProcessTrainer:
    pool = open_pool(corpus)
    evaluations = {name: _macro(groups) for name, groups in _targets(corpus, split).items()}
    for bucket in range(pool.num_buckets):
        tokens = pool.tokens(bucket, "validation")
        evaluations[f"cluster/{bucket:03d}"] = Evaluation(tokens, int(pool.num_bytes["validation"][bucket]))
    command = corpus.settings.search.evaluator
    if command:
        _must_be_there(command, "evaluator")
    return ProcessTrainer(
        [pool.tokens(bucket, "train") for bucket in range(pool.num_buckets)],
        evaluations,
        vocabulary=pool.vocabulary,
        workers=corpus.settings.engine.workers,
        device=corpus.settings.engine.device,
        checkpoints=folder / "checkpoints",
        evaluator=CommandEvaluator(command, tokenizer_json(corpus), split) if command else None,
    )


def _own(corpus: Corpus, split: str, folder: Path) -> CommandTrainer:
    command = corpus.settings.search.trainer
    _must_be_there(command, "trainer")
    context = write_context(
        folder / f"context-{split}",
        split=split,
        objective=(objective_loss(corpus, split),),
        pool=open_pool(corpus),
        names=read_clusters(corpus)[0]["name"].to_pylist(),
        tokenizer=tokenizer_json(corpus),
        evaluations=_targets(corpus, split),
    )
    return CommandTrainer(command, context=context, workers=corpus.settings.engine.workers or num_cores())


def _must_be_there(command: Sequence[str], setting: str) -> None:
    if shutil.which(command[0]) is None:
        raise SettingsError(
            f"search.{setting} = {list(command)}: no program {command[0]!r} that can be run; give its path, and the"
            f' words of the command one by one, e.g. --set \'search.{setting}=["python3", "/path/to/it.py"]\''
        )


def _targets(corpus: Corpus, split: str) -> dict[str, tuple[tuple[str, Evaluation], ...]]:
    """The texts of every target's split, by group; one without groups has one, of no name."""
    table, _ = read_evaluations(corpus)
    found = {}
    for target in corpus.settings.targets:
        mine = table.filter(pc.and_(pc.equal(table["target"], target.name), pc.equal(table["split"], split)))
        found[loss_name(split, target.name)] = tuple(
            (group, Evaluation(tokens.values.to_numpy(), num_bytes.as_py()))
            for group, tokens, num_bytes in zip(
                mine["group"].to_pylist(), mine["tokens"], mine["num_bytes"], strict=True
            )
        )
    return found


def _macro(groups: Sequence[tuple[str, Evaluation]]) -> Evaluation:
    evaluations = [evaluation for _, evaluation in groups]
    return evaluations[0] if len(evaluations) == 1 else Evaluation.macro(evaluations)
