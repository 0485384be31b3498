"""The mixer half, one function per stage: search rounds, the mixture, the comparison, the dataset.

A search lives in one local folder (journal, candidates, fits); everything in it resumes by running again.
"""

import atexit
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from mixer import lineage as mixing
from mixer.comparison import compare
from mixer.data import Evaluation
from mixer.dataset import write_dataset
from mixer.runs import Progress, loss_on
from mixer.search import MixtureSearch
from mixer.trainer import ProcessTrainer
from mixer.trial import Schedule
from pipelines.corpus import Corpus, Report
from pipelines.digest import digest_of
from pipelines.fitting import read_clusters
from pipelines.pooling import open_pool, read_evaluations
from pipelines.store import Stage

Watch = Callable[[Progress], None]
SEARCH, FINAL = "search", "final"  # the splits of a target; the search sees the first alone


def run_round(corpus: Corpus, number: int) -> Report:
    """Write a round's candidates, then train its proxies, or those that the journal lacks."""

    def train(search: MixtureSearch, watch: Watch) -> None:
        search.propose_round(number)
        search.train_round(number, _trainer(corpus, SEARCH), watch)

    return _trained(
        corpus,
        f"round {number}",
        corpus.settings.search.rounds[number - 1],
        train,
    )


def run_predictor(corpus: Corpus, number: int) -> Report:
    """Refit the predictor on all rounds so far; its counts are what it found."""
    started = time.monotonic()
    stage = mixing.search(corpus)
    corpus.progress.begin(f"predictor {number}", corpus.settings.search.name, total=1, done=0)
    with stage.lease():
        found = _search(corpus, stage).fit_round(number)
    corpus.progress.advance(1, 0)
    counts = {"runs": found["num_runs"], "best_measured": found["best_measured"], "predicted": found["predicted"]}
    told = {"rows": 0, "content": digest_of(found)[:32], "counts": counts}
    return corpus.report(stage, told, started, parts=1, todo=1, name=f"predictor {number}")


def run_mixture(corpus: Corpus) -> Report:
    """Train the rules and random search beside the search, then publish what the search recommends."""
    stage = mixing.mixture(corpus)
    manifest = stage.manifest()
    if manifest is not None:
        return corpus.report(stage, manifest, time.monotonic(), parts=1, todo=0)
    settings = corpus.settings.search
    started = time.monotonic()

    def train(search: MixtureSearch, watch: Watch) -> None:
        search.train_rules(_trainer(corpus, SEARCH), watch)
        search.train_random(_trainer(corpus, SEARCH), watch)

    _trained(
        corpus,
        "baselines",
        4 + sum(settings.rounds) - settings.rounds[0],
        train,
    )
    place = mixing.search(corpus)
    with place.lease(), stage.lease(), tempfile.TemporaryDirectory(prefix="sirdar-") as folder:
        found = _search(corpus, place).recommend().to_json()
        weights = found["schedule"]["phases"][0]["weights"]
        others = {name: schedule["phases"][0]["weights"] for name, schedule in found["others"].items()}
        table, _ = read_clusters(corpus)
        told = {
            "objective": mixing.objective_target(corpus),
            "schedule": found["schedule"],
            "weights": weights,
            "predicted": found["predicted"],
            "spread": found["spread"],
            "others": others,
            "clusters": table["name"].to_pylist(),
        }
        path = Path(folder) / "mixture.json"
        path.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        manifest = stage.publish({"mixture.json": path}, counts={"clusters": len(weights), "found": _largest(told)})
    return corpus.report(stage, manifest, started, parts=1, todo=1)


def run_comparison(corpus: Corpus) -> Report:
    """Train the found mixture and the others with paired seeds, and judge them on documents no search saw."""
    started = time.monotonic()
    stage = mixing.comparison(corpus)
    manifest = stage.manifest()
    todo = int(manifest is None)
    if manifest is None:
        found = read_mixture(corpus)
        target = found["objective"]
        schedules = {
            name: Schedule.static(weights, corpus.settings.search.tokens)
            for name, weights in {"search": found["weights"], **found["others"]}.items()
            if name == "search" or name in corpus.settings.search.final_mixtures
        }
        total = len(schedules) * corpus.settings.search.final_seeds
        with stage.lease(), tempfile.TemporaryDirectory(prefix="sirdar-") as folder:
            place = stage.workspace.local(*stage.steps)
            judged = compare(
                place,
                schedules,
                proxy=corpus.settings.proxy,
                settings=corpus.settings.search,
                data=f"{mixing.data_digest(corpus)}-{FINAL}",
                trainer=_trainer(corpus, FINAL),
                objective=loss_on(_name(FINAL, target)),
                progress=_watching(corpus, "comparison", total),
            ).to_json()
            path = Path(folder) / "result.json"
            path.write_text(json.dumps({"target": target, **judged}, indent=1, sort_keys=True), encoding="utf-8")
            outcomes = {f"against {one['other']}": one["outcome"] for one in judged["verdicts"]}
            manifest = stage.publish({"result.json": path}, counts=outcomes)
        _close_trainers()
    return corpus.report(stage, manifest, started, parts=1, todo=todo)


def run_dataset(corpus: Corpus) -> Report:
    """Write shards, card and manifest of the found mixture."""
    return write_dataset(corpus, read_mixture(corpus), _evidence(corpus))


def read_mixture(corpus: Corpus) -> dict[str, Any]:
    stage = mixing.mixture(corpus)
    stage.finished()
    return dict(corpus.workspace.read_json(*stage.steps, "mixture.json"))


def read_comparison(corpus: Corpus) -> dict[str, Any]:
    stage = mixing.comparison(corpus)
    stage.finished()
    return dict(corpus.workspace.read_json(*stage.steps, "result.json"))


def _evidence(corpus: Corpus) -> dict[str, Any]:
    """The comparison as the manifest holds it."""
    found = read_comparison(corpus)
    return {
        "target": found["target"],
        "metric": "nats per token on the target's final split",
        "tokens": found["tokens"],
        "seeds": found["seeds"],
        "mixtures": [{"name": name, **summary} for name, summary in found["mixtures"].items()],
        "verdict": " ".join(f"{one['text']}." for one in found["verdicts"]),
    }


def _largest(found: Mapping[str, Any]) -> str:
    ranked = sorted(zip(found["weights"], found["clusters"], strict=True), reverse=True)
    return ", ".join(f"{name} {100 * weight:.0f} %" for weight, name in ranked[:3])


# ---------------------------------------------------------------------------------------------------------
# One search in its folder


def _search(corpus: Corpus, stage: Stage) -> MixtureSearch:
    target = mixing.objective_target(corpus)
    _, shares = read_evaluations(corpus)
    counts = open_pool(corpus).num_tokens["train"]
    return MixtureSearch(
        folder=stage.workspace.local(*stage.steps),
        token_counts=tuple(counts.tolist()),
        nearest=tuple(float(count) for count in shares[target]),
        proxy=corpus.settings.proxy,
        settings=corpus.settings.search,
        data=f"{mixing.data_digest(corpus)}-{SEARCH}",
        objective=loss_on(_name(SEARCH, target)),
        budget_tokens=corpus.settings.dataset.tokens,
    )


def _trained(
    corpus: Corpus,
    name: str,
    total: int,
    train: Callable[[MixtureSearch, Watch], None],
) -> Report:
    started = time.monotonic()
    stage = mixing.search(corpus)
    with stage.lease():
        search = _search(corpus, stage)
        train(search, _watching(corpus, name, total))
        lines = [json.loads(line) for line in search.journal.read_text(encoding="utf-8").splitlines()]
    losses = [
        line["result"]["losses"][_name(SEARCH, mixing.objective_target(corpus))]["nats"]
        for line in lines
        if not line["result"].get("error")
    ]
    counts = {"trials": len(lines), "failed": len(lines) - len(losses), "best_loss": min(losses, default=math.nan)}
    told = {"rows": 0, "content": digest_of([line["result"]["key"] for line in lines])[:32], "counts": counts}
    return corpus.report(stage, told, started, parts=total, todo=total, name=name)


def _watching(corpus: Corpus, name: str, total: int) -> Watch:
    corpus.progress.begin(name, corpus.settings.search.name, total=total, done=0)

    def watch(progress: Progress) -> None:
        corpus.progress.advance(1, 0)

    return watch


# ---------------------------------------------------------------------------------------------------------
# Trainers


_TRAINERS: dict[str, ProcessTrainer] = {}


def _trainer(corpus: Corpus, split: str) -> ProcessTrainer:
    """One trainer for all rounds of a process: its children take seconds to import torch."""
    key = f"{mixing.data_digest(corpus)}-{split}-{corpus.settings.engine!r}"
    if key not in _TRAINERS:
        _close_trainers()
        pool = open_pool(corpus)
        if not _TRAINERS:
            atexit.register(_close_trainers)
        _TRAINERS[key] = ProcessTrainer(
            [pool.tokens(bucket, "train") for bucket in range(pool.num_buckets)],
            _evaluations(corpus, split),
            vocabulary=pool.vocabulary,
            workers=corpus.settings.engine.workers,
            device=corpus.settings.engine.device,
            checkpoints=corpus.workspace.local(*mixing.search(corpus).steps, "checkpoints"),
        )
    return _TRAINERS[key]


def _close_trainers() -> None:
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
        found[_name(split, target.name)] = groups[0] if len(groups) == 1 else Evaluation.macro(groups)
    pool = open_pool(corpus)
    for bucket in range(pool.num_buckets):
        tokens = pool.tokens(bucket, "validation")
        found[f"cluster/{bucket:03d}"] = Evaluation(tokens, int(pool.num_bytes["validation"][bucket]))
    return found


def _name(split: str, target: str) -> str:
    return f"{split}/{target}"
