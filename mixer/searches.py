"""The search of a corpus in its folder: made from the settings, checked before hours are spent, watched.

A search lives in one folder (journal, candidates, fits); everything in it resumes by running again.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mixer import journal, objectives, phases
from mixer import lineage as mixing
from mixer.freezing import groups_of, mixture_of
from mixer.place import JOURNAL, Place, working
from mixer.proxies.trainers import peak_bytes
from mixer.runs import Progress, measured
from mixer.search import MixtureSearch
from mixer.strategy import Target
from mixer.topics import target_of
from mixer.trial import Trial
from pipelines.clusters import read_clusters
from pipelines.corpus import Corpus, Report
from pipelines.digest import digest_of
from pipelines.errors import SettingsError
from pipelines.pooling import open_pool
from pipelines.search_settings import Search

Watch = Callable[[Progress], None]


def search_of(corpus: Corpus, folder: Path) -> MixtureSearch:
    objective = objectives.objective_of(corpus, objectives.SEARCH)
    target = target_of(corpus)
    counts = tuple(open_pool(corpus).num_tokens["train"].tolist())
    settings = mixing.search_settings(corpus)
    _check_searchable(corpus, counts, target)
    names = read_clusters(corpus)["name"].to_pylist()
    return MixtureSearch(
        folder=folder,
        token_counts=counts,
        target=target,
        proxy=corpus.settings.proxy,
        settings=settings,
        data=f"{mixing.data_digest(corpus)}-{objectives.SEARCH}",
        objective=objective,
        budget_tokens=corpus.settings.dataset.tokens,
        tasks=objective.names,
        weights=objective.weights,
        groups=(
            groups_of(settings.frozen, names, counts, settings.bounds) if settings.frozen or settings.bounds else None
        ),
        early=() if settings.early in Search.EARLY else mixture_of(Path(settings.early), names),
    )


def _check_searchable(corpus: Corpus, counts: Sequence[int], target: Target) -> None:
    """SettingsError for what would otherwise end the search only after hours of training."""
    settings = corpus.settings
    empty = [number for number, count in enumerate(counts) if not count]
    if empty:
        names = read_clusters(corpus)["name"].to_pylist()
        raise SettingsError(
            f"no training tokens in {', '.join(names[number] for number in empty)}: too small a cluster;"
            " lower clusters.k (or raise clusters.distance), cut fewer clusters.tiers, or lower tokens.validation"
        )
    if not target.counts.any():
        names = ", ".join(map(repr, mixing.asked(settings)))
        raise SettingsError(
            f"no document of target {names} (its search half) falls into any cluster that was kept;"
            " lower clusters.min_score, or take a target that the crawl is about"
        )
    step = settings.proxy.sequence * settings.proxy.batch
    for name, tokens in (("tokens", settings.search.tokens), ("final_tokens", settings.search.final_tokens)):
        if tokens:
            _must_have_steps(settings.search, name, tokens, step)
    if settings.search.fidelities and (cheap := round(min(settings.search.fidelities) * settings.search.tokens)) < step:
        raise SettingsError(
            f"search.fidelities = {list(settings.search.fidelities)}: the cheapest proxy has {cheap:,} tokens, under"
            f" the {step:,} of one step; raise the share, or search.tokens"
        )
    most = mixing.search_settings(corpus).max_epochs * sum(counts)
    if settings.dataset.tokens > most:
        raise SettingsError(
            f"dataset.tokens = {settings.dataset.tokens:,}, but the crawls hold {sum(counts):,} training tokens,"
            f" which dataset.max_epochs = {settings.dataset.max_epochs:g} and search.max_epochs ="
            f" {settings.search.max_epochs:g} make {most:,.0f} at most; lower dataset.tokens, or raise them"
        )


def _must_have_steps(search: Search, name: str, tokens: int, step: int) -> None:
    """SettingsError where a budget, or the shortest phase of it, is under one step: proxies would train on more."""
    short = min(phases.lengths(search.phases or (1.0,), tokens))
    if search.phases and short < step:
        raise SettingsError(
            f"search.phases = {list(search.phases)}: the shortest phase of search.{name} = {tokens:,} has {short:,}"
            f" tokens, less than the {step:,} of one step; make either larger"
        )
    if short < step and not search.trainer:  # whose steps are its own
        raise SettingsError(
            f"search.{name} = {tokens:,}: less than the {step:,} tokens of one step (proxy.sequence times proxy.batch);"
            " raise it, or make a step smaller"
        )


def trained(
    corpus: Corpus,
    name: str,
    asked: Callable[[MixtureSearch], Sequence[Trial]],
    train: Callable[[MixtureSearch, Watch], None],
) -> Report:
    """Run `train` in the search's folder; what is told is of the trials that `asked` writes down before."""
    started = time.monotonic()
    stage = mixing.search(corpus)
    with stage.lease(), working(stage) as place:
        search = search_of(corpus, place.folder)
        trials = {trial.key: trial for trial in asked(search)}
        keys = set(trials)
        done = len(_losses(search, keys))
        train(search, watching(corpus, name, place, len(keys), done))
        losses = _losses(search, keys)
    finite = {key: loss for key, loss in losses.items() if math.isfinite(loss)}
    counts: dict[str, Any] = {"trials": len(losses), "failed": len(losses) - len(finite)}
    # Losses of fewer tokens are no losses to compare with.
    whole = [loss for key, loss in finite.items() if trials[key].schedule.tokens == search.settings.tokens]
    if whole:
        counts["best_loss"] = min(whole)
    # Trials finish in any order, and one mixture may be a trial of two rounds: sorted keys say what was trained.
    told = {"rows": 0, "content": digest_of(sorted(losses))[:32], "counts": counts}
    return corpus.report(
        stage, told, started, parts=len(losses), todo=len(losses) - done, name=name, process_bytes=peak_bytes()
    )


def _losses(search: MixtureSearch, keys: set[str]) -> dict[str, float]:
    """Key -> loss of those of these trials that the journal has; NaN: failed."""
    entries = (entry for entry in journal.read(search.journal) if entry.result.key in keys)
    return {entry.result.key: measured(entry.result, search.objective) for entry in entries}


def _noted(progress: Progress) -> str:
    """`12 of 24: 5.1312, best 5.1107`."""
    loss = f"{progress.loss:.4f}" if math.isfinite(progress.loss) else "failed"
    best = f", best {progress.best:.4f}" if math.isfinite(progress.best) else ""
    return f"{progress.trial.name} {progress.done} of {progress.total}: {loss}{best}"


def num_done(place: Place) -> int:
    return len(journal.read(place.folder / JOURNAL))


def watching(corpus: Corpus, name: str, place: Place, total: int, done: int) -> Watch:
    corpus.progress.begin(name, corpus.settings.search.name, total=total, done=done)

    def watch(progress: Progress) -> None:
        corpus.progress.advance(1, 0)
        corpus.progress.note(_noted(progress))
        place.keep()

    return watch
