"""The mixer half, one function per stage: search rounds, the mixture, the comparison, the dataset.

A search lives in one folder (journal, candidates, fits); everything in it resumes by running again.
"""

import atexit
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from mixer import journal
from mixer import lineage as mixing
from mixer.comparison import compare
from mixer.data import Evaluation
from mixer.dataset import write_dataset
from mixer.place import JOURNAL, Place, mirror, working
from mixer.runs import Progress, loss_on, measured
from mixer.search import MixtureSearch, Recommendation
from mixer.tables import Runs
from mixer.trainer import ProcessTrainer
from mixer.trial import Schedule
from pipelines.corpus import Corpus, Report
from pipelines.digest import digest_of
from pipelines.errors import SettingsError, StoreError
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

    return _trained(corpus, f"round {number}", {number}, corpus.settings.search.rounds[number - 1], train)


def run_predictor(corpus: Corpus, number: int) -> Report:
    """Refit the predictor on all rounds so far; its counts are what it found."""
    started = time.monotonic()
    stage = mixing.search(corpus)
    corpus.progress.begin(f"predictor {number}", corpus.settings.search.name, total=1, done=0)
    with stage.lease(), working(stage) as place:
        found = _search(corpus, place.folder).fit_round(number)
    corpus.progress.advance(1, 0)
    counts = {"runs": found["num_runs"], "best_measured": found["best_measured"]}
    if found.get("predicted") is not None:
        counts["predicted"] = found["predicted"]
    told = {"rows": 0, "content": digest_of(found)[:32], "counts": counts}
    return corpus.report(stage, told, started, parts=1, todo=1, name=f"predictor {number}")


def run_mixture(corpus: Corpus) -> Report:
    """Train the rules and random search beside the search, then publish what the search recommends."""
    stage = mixing.mixture(corpus)
    manifest = stage.manifest()
    if manifest is not None:
        return corpus.report(stage, manifest, time.monotonic(), parts=1, todo=0)
    rounds = corpus.settings.search.rounds
    started = time.monotonic()

    def train(search: MixtureSearch, watch: Watch) -> None:
        if not (search.folder / "fits" / f"round-{len(rounds)}.json").exists():
            raise StoreError(f"round {len(rounds)} of the search is not done yet; run `sirdar mix search` first")
        search.train_rules(_trainer(corpus, SEARCH), watch)
        search.train_random(_trainer(corpus, SEARCH), watch)

    num_rules = 4
    _trained(corpus, "baselines", {0, len(rounds) + 1}, num_rules + sum(rounds) - rounds[0], train)
    searched = mixing.search(corpus)
    with searched.lease(), working(searched) as place:
        told = _mixture(corpus, _search(corpus, place.folder).recommend())
    counts = {"clusters": len(told["weights"]), "found": _largest(told)}
    with stage.lease():
        manifest = _published(stage, "mixture.json", told, counts)
    return corpus.report(stage, manifest, started, parts=1, todo=1)


def run_comparison(corpus: Corpus) -> Report:
    """Train the found mixture and the others with paired seeds, and judge them on documents no search saw."""
    started = time.monotonic()
    stage = mixing.comparison(corpus)
    found = read_mixture(corpus)
    schedules = _compared(corpus, found)
    manifest = stage.manifest()
    todo = int(manifest is None)
    if manifest is None:
        with stage.lease(), working(stage) as place:
            judged = compare(
                place.folder,
                schedules,
                proxy=corpus.settings.proxy,
                settings=corpus.settings.search,
                data=f"{mixing.data_digest(corpus)}-{FINAL}",
                trainer=_trainer(corpus, FINAL),
                objective=loss_on(_name(FINAL, found["objective"])),
                progress=_watching(
                    corpus, "comparison", place, len(schedules) * corpus.settings.search.final_seeds, _num_done(place)
                ),
            ).to_json()
            outcomes = {f"against {one['other']}": one["outcome"] for one in judged["verdicts"]}
            manifest = _published(stage, "result.json", {"target": found["objective"], **judged}, outcomes)
        close_trainers()
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


def search_table(corpus: Corpus) -> Runs:
    """The runs of a finished search as a table; TrialError where some of its rounds are not trained yet."""
    stage = mixing.search(corpus)
    names = read_clusters(corpus)[0]["name"].to_pylist()
    with stage.lease(), working(stage) as place:
        return _search(corpus, place.folder).table([_column(name, number) for number, name in enumerate(names)])


def _column(name: str, number: int) -> str:
    """Names of clusters are words that several may share, and a table's columns are not."""
    return f"{number:03d} {name}"


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


def _mixture(corpus: Corpus, found: Recommendation) -> dict[str, Any]:
    """What mixture.json holds."""
    table, _ = read_clusters(corpus)
    told = found.to_json()
    return {
        "objective": mixing.objective_target(corpus),
        "schedule": told["schedule"],
        "weights": list(found.schedule.weights),
        "predicted": told["predicted"],
        "spread": told["spread"],
        "others": {name: list(schedule.weights) for name, schedule in found.others.items()},
        "clusters": table["name"].to_pylist(),
    }


def _compared(corpus: Corpus, found: Mapping[str, Any]) -> dict[str, Schedule]:
    """The mixture found, as `search`, and those that the settings name; SettingsError for one that is not there."""
    wanted = corpus.settings.search.final_mixtures
    unknown = [name for name in wanted if name not in found["others"]]
    if unknown or not wanted:
        raise SettingsError(
            f"search.final_mixtures = {list(wanted)}: {', '.join(unknown) or 'nothing'} to compare with;"
            f" name some of {', '.join(found['others'])}"
        )
    weights = {"search": found["weights"], **{name: found["others"][name] for name in wanted}}
    return {name: Schedule.static(row, corpus.settings.search.tokens) for name, row in weights.items()}


def _published(stage: Stage, name: str, told: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sirdar-") as folder:
        path = Path(folder) / name
        path.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return stage.publish({name: path}, counts=counts)


def _largest(found: Mapping[str, Any]) -> str:
    ranked = sorted(zip(found["weights"], found["clusters"], strict=True), reverse=True)
    return ", ".join(f"{name} {100 * weight:.0f} %" for weight, name in ranked[:3])


# ---------------------------------------------------------------------------------------------------------
# One search in its folder


def _search(corpus: Corpus, folder: Path) -> MixtureSearch:
    target = mixing.objective_target(corpus)
    _, shares = read_evaluations(corpus)
    counts = tuple(open_pool(corpus).num_tokens["train"].tolist())
    settings = mixing.search_settings(corpus)
    _check_searchable(corpus, counts, shares[target])
    return MixtureSearch(
        folder=folder,
        token_counts=counts,
        nearest=tuple(float(count) for count in shares[target]),
        proxy=corpus.settings.proxy,
        settings=settings,
        data=f"{mixing.data_digest(corpus)}-{SEARCH}",
        objective=loss_on(_name(SEARCH, target)),
        budget_tokens=corpus.settings.dataset.tokens,
        tasks=(_name(SEARCH, target),),
    )


def _check_searchable(corpus: Corpus, counts: Sequence[int], nearest: Sequence[int]) -> None:
    """SettingsError for what would otherwise end the search only after hours of training."""
    target, settings = mixing.objective_target(corpus), corpus.settings
    empty = [number for number, count in enumerate(counts) if not count]
    if empty:
        names = read_clusters(corpus)[0]["name"].to_pylist()
        raise SettingsError(
            f"no training tokens in {', '.join(names[number] for number in empty)}: too small a cluster;"
            " lower clusters.k (or raise clusters.distance), or lower tokens.validation"
        )
    if not any(nearest):
        raise SettingsError(
            f"no document of target {target!r} (its search half) falls into any cluster that was kept;"
            " lower clusters.min_score, or take a target that the crawl is about"
        )
    most = mixing.search_settings(corpus).max_epochs * sum(counts)
    if settings.dataset.tokens > most:
        raise SettingsError(
            f"dataset.tokens = {settings.dataset.tokens:,}, but the crawls hold {sum(counts):,} training tokens,"
            f" which dataset.max_epochs = {settings.dataset.max_epochs:g} and search.max_epochs ="
            f" {settings.search.max_epochs:g} make {most:,.0f} at most; lower dataset.tokens, or raise them"
        )


def _trained(
    corpus: Corpus,
    name: str,
    rounds: set[int],
    total: int,
    train: Callable[[MixtureSearch, Watch], None],
) -> Report:
    """Run `train` in the search's folder; what is told is of the trials of `rounds`, `total` of them."""
    started = time.monotonic()
    stage = mixing.search(corpus)
    with stage.lease(), working(stage) as place:
        search = _search(corpus, place.folder)
        done = len(_losses(search, rounds))
        train(search, _watching(corpus, name, place, total, done))
        losses = _losses(search, rounds)
    finite = [loss for loss in losses.values() if math.isfinite(loss)]
    counts: dict[str, Any] = {"trials": len(losses), "failed": len(losses) - len(finite)}
    if finite:
        counts["best_loss"] = min(finite)
    # Trials finish in any order, and one mixture may be a trial of two rounds: sorted keys say what was trained.
    told = {"rows": 0, "content": digest_of(sorted(losses))[:32], "counts": counts}
    return corpus.report(stage, told, started, parts=len(losses), todo=len(losses) - done, name=name)


def _losses(search: MixtureSearch, rounds: set[int]) -> dict[str, float]:
    """Key -> loss of the journal's trials of these rounds; NaN: failed."""
    entries = (entry for entry in journal.read(search.journal) if entry.trial.round in rounds)
    return {entry.result.key: measured(entry.result, search.objective) for entry in entries}


def _num_done(place: Place) -> int:
    return len(journal.read(place.folder / JOURNAL))


def _watching(corpus: Corpus, name: str, place: Place, total: int, done: int) -> Watch:
    corpus.progress.begin(name, corpus.settings.search.name, total=total, done=done)

    def watch(progress: Progress) -> None:
        corpus.progress.advance(1, 0)
        place.keep()

    return watch


# ---------------------------------------------------------------------------------------------------------
# Trainers


_TRAINERS: dict[tuple[str, ...], ProcessTrainer] = {}


def _trainer(corpus: Corpus, split: str) -> ProcessTrainer:
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
        found[_name(split, target.name)] = groups[0] if len(groups) == 1 else Evaluation.macro(groups)
    pool = open_pool(corpus)
    for bucket in range(pool.num_buckets):
        tokens = pool.tokens(bucket, "validation")
        found[f"cluster/{bucket:03d}"] = Evaluation(tokens, int(pool.num_bytes["validation"][bucket]))
    return found


def _name(split: str, target: str) -> str:
    return f"{split}/{target}"
