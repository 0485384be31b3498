"""The trainer of a corpus: its token pools, and the held-out texts that its proxies are measured on."""

import atexit

import pyarrow.compute as pc

from mixer import lineage as mixing
from mixer.data import Evaluation
from mixer.place import mirror
from mixer.trainer import ProcessTrainer
from pipelines.corpus import Corpus
from pipelines.pooling import open_pool, read_evaluations

SEARCH, FINAL = "search", "final"  # the splits of a target; the search sees the first alone

_TRAINERS: dict[tuple[str, ...], ProcessTrainer] = {}


def trainer_of(corpus: Corpus, split: str) -> ProcessTrainer:
    """One trainer for all rounds of a process: its children take seconds to import torch."""
    stage = mixing.search(corpus)
    key = (corpus.workspace.root, stage.label, split, repr(corpus.settings.engine))
    if key not in _TRAINERS:
        close_trainers()
        pool = open_pool(corpus)
        atexit.unregister(close_trainers)
        atexit.register(close_trainers)
        folder = corpus.workspace.local(*stage.steps) if corpus.workspace.is_local else mirror(stage)
        _TRAINERS[key] = ProcessTrainer(
            [pool.tokens(bucket, "train") for bucket in range(pool.num_buckets)],
            _evaluations(corpus, split),
            vocabulary=pool.vocabulary,
            workers=corpus.settings.engine.workers,
            device=corpus.settings.engine.device,
            checkpoints=folder / "checkpoints",
        )
    return _TRAINERS[key]


def close_trainers() -> None:
    """End the training processes that this one keeps for its next round."""
    for trainer in _TRAINERS.values():
        trainer.close()
    _TRAINERS.clear()


def _evaluations(corpus: Corpus, split: str) -> dict[str, Evaluation]:
    """Targets of one split; a target with groups is the macro-average over them. Then each cluster's own held-out."""
    table, _ = read_evaluations(corpus)
    found: dict[str, Evaluation] = {}
    for target in corpus.settings.targets:
        mine = table.filter(pc.and_(pc.equal(table["target"], target.name), pc.equal(table["split"], split)))
        groups = [
            Evaluation(row["tokens"].values.to_numpy(), row["num_bytes"].as_py())
            for row in (dict(zip(mine.column_names, cells, strict=True)) for cells in zip(*mine.columns, strict=True))
        ]
        found[loss_name(split, target.name)] = groups[0] if len(groups) == 1 else Evaluation.macro(groups)
    pool = open_pool(corpus)
    for bucket in range(pool.num_buckets):
        tokens = pool.tokens(bucket, "validation")
        found[f"cluster/{bucket:03d}"] = Evaluation(tokens, int(pool.num_bytes["validation"][bucket]))
    return found


def loss_name(split: str, target: str) -> str:
    return f"{split}/{target}"
