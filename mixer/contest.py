"""Several strategies on one problem: the same candidates, caps and budget, then their mixtures on paired seeds.

Each strategy's search lies in a folder of its own, so that it resumes, and can be gone on with by itself. A trial that
an earlier search of the workspace has trained is taken from there: methods of one round share the whole start design.
What a strategy costs is told as if it were alone. The mixtures and the zero-training rules are trained with paired
seeds on documents that no search saw, and each strategy is judged against the best of the rules. That rule is chosen by
the same runs, which flatters it a little: a strategy said to beat it does.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mixer import journal
from mixer import lineage as mixing
from mixer.comparison import CONFIDENCE, Comparison, compare, verdict
from mixer.journal import write_whole
from mixer.objectives import FINAL, SEARCH, objective_of
from mixer.place import JOURNAL, reading, working
from mixer.recommendation import Recommendation
from mixer.search import MixtureSearch
from mixer.searches import num_done, search_of, watching
from mixer.trainer import OnResult, Trainer
from mixer.trainers import close_trainers, trainer_of
from mixer.trial import Result, Schedule, Trial
from pipelines import configuration
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError

RULES = ("natural", "uniform", "nearest", "entropy")
RESULT = "result.json"


class Remembering:
    """A trainer that hands over what is known of a trial already, and trains the rest."""

    def __init__(self, trainer: Trainer, known: Mapping[str, Result]) -> None:
        self.trainer, self.known, self.num_trained = trainer, dict(known), 0

    def train(self, trials: Sequence[Trial], on_result: OnResult) -> None:
        for trial in trials:
            if trial.key in self.known:
                on_result(self.known[trial.key])
        left = [trial for trial in trials if trial.key not in self.known]

        def heard(result: Result) -> None:
            self.num_trained += 1
            if not result.failed:
                self.known[result.key] = result
            on_result(result)

        if left:
            self.trainer.train(left, heard)


def contest(corpus: Corpus, names: Sequence[str], seeds: int) -> dict[str, Any]:
    """Search with every strategy and compare what they found; written to strategies/<digest>/result.json."""
    if len(set(names)) < len(names) or not names:
        raise SettingsError(f"strategies {', '.join(names) or '(none)'}: name at least one, each once")
    entrants = {name: entered(corpus, name) for name in names}
    stages = [mixing.search(entrant) for entrant in entrants.values()]
    trainer = Remembering(trainer_of(corpus, SEARCH), _known(corpus))
    found = {name: _searched(entrant, trainer) for name, entrant in entrants.items()}
    stage = mixing.strategies(corpus, stages, seeds)
    first = next(iter(found.values()))[0]
    mixtures = {name: recommended.schedule for name, (recommended, _) in found.items()}
    rules = {name: first.others[name] for name in RULES if name not in mixtures}
    if not rules:
        raise SettingsError("every strategy is a rule; name one that searches")
    schedules: dict[str, Schedule] = {**mixtures, **rules}
    with stage.lease(), working(stage) as place:
        judged = compare(
            place.folder,
            schedules,
            proxy=corpus.settings.proxy,
            settings=corpus.settings.search.model_copy(update={"final_seeds": seeds}),
            data=f"{mixing.data_digest(corpus)}-{FINAL}",
            trainer=trainer_of(corpus, FINAL),
            objective=objective_of(corpus, FINAL),
            progress=watching(corpus, "strategies", place, len(schedules) * seeds, num_done(place)),
        )
        best = min(rules, key=lambda name: mean(judged.losses[name]))
        told = {
            "data": mixing.data_digest(corpus),
            "num_trained": trainer.num_trained,
            "best_rule": best,
            "cost": {name: cost for name, (_, cost) in found.items()},
            **against(judged, best, list(mixtures)).to_json(),
        }
        write_whole(place.folder / RESULT, json.dumps(told, indent=1, allow_nan=False).encode() + b"\n")
    close_trainers()
    return told


def entered(corpus: Corpus, name: str) -> Corpus:
    """The corpus under settings that search with this strategy; the workspace's own search where that is its own."""
    settings = corpus.settings
    if name == settings.search.strategy:
        return corpus
    search = configuration.changed(settings.search, [f"strategy={name}", "predictor=''", f"name={name}"])
    return Corpus(corpus.workspace, settings.model_copy(update={"search": search}), corpus.progress)


def against(found: Comparison, other: str, names: Sequence[str]) -> Comparison:
    """The same runs with other verdicts: each of `names` against `other`, all of them together at 95 %."""
    confidence = 1 - (1 - CONFIDENCE) / len(names)
    ours, noise, unit = found.losses, found.noise, found.unit
    verdicts = tuple(
        verdict(ours[name], ours[other], noise, name=name, other=other, confidence=confidence, unit=unit)
        for name in names
    )
    return replace(found, verdicts=verdicts)


def mean(losses: Sequence[float]) -> float:
    """Of the runs that did not fail; infinite where all did."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    return math.fsum(finite) / len(finite) if finite else math.inf


def _searched(corpus: Corpus, trainer: Remembering) -> tuple[Recommendation, dict[str, Any]]:
    """All rounds, or what is missing of them, and what they would cost alone."""
    stage = mixing.search(corpus)
    with stage.lease(), working(stage) as place:
        search = search_of(corpus, place.folder)
        total = sum(search.settings.rounds)
        watch = watching(corpus, search.settings.strategy, place, total, min(total, num_done(place)))
        for number in search.rounds:
            search.propose_round(number)
            search.train_round(number, trainer, watch)
            search.fit_round(number)
        return search.recommend(), _cost(search)


def _cost(search: MixtureSearch) -> dict[str, Any]:
    entries = [entry for entry in journal.read(search.journal) if entry.trial.round in search.rounds]
    return {
        "num_runs": len(entries),
        "tokens": sum(entry.result.tokens for entry in entries),
        "seconds": sum(entry.result.seconds for entry in entries),
    }


def _known(corpus: Corpus) -> dict[str, Result]:
    """Successful results by key of every search in the workspace; keys hold proxy, seed and data."""
    workspace = corpus.workspace
    if not workspace.is_local:
        with reading(mixing.search(corpus)) as folder:
            paths = [folder / JOURNAL]
            return _successes(paths)
    return _successes(sorted(workspace.local("search").glob(f"*/*/{JOURNAL}")))


def _successes(paths: Sequence[Any]) -> dict[str, Result]:
    entries = (entry for path in paths for entry in journal.read(path))
    return {entry.result.key: entry.result for entry in entries if not entry.result.failed}
