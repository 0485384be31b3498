"""Several strategies on one problem: the same candidates, caps and budget, then their mixtures on paired seeds.

Each strategy's search lies in a folder of its own, so that it resumes, and can be gone on with by itself. A trial that
an earlier search of the workspace has trained is taken from there: methods of one round share the whole start design.
What a strategy costs is told as if it were alone. The mixtures and the zero-training rules are trained with paired
seeds on documents that no search saw, and each strategy is judged against the best of the rules. That rule is chosen by
the same runs, which flatters it a little: a strategy said to beat it does.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mixer import journal, takeover
from mixer import lineage as mixing
from mixer.comparison import CONFIDENCE, Comparison, compare, verdict
from mixer.entrants import asked, entered
from mixer.journal import write_whole
from mixer.objectives import FINAL, SEARCH, objective_of
from mixer.place import working
from mixer.proxies.trainer import Trainer
from mixer.proxies.trainers import close_trainers, trainer_of
from mixer.recommendation import Recommendation
from mixer.search import MixtureSearch
from mixer.searches import num_done, search_of, watching
from mixer.takeover import Reusing
from mixer.trial import Schedule
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError

RULES = ("natural", "uniform", "nearest", "entropy", "domain2vec")  # the last where topics are known
RESULT = "result.json"


def contest(corpus: Corpus, names: Sequence[str], seeds: int) -> dict[str, Any]:
    """Search with every strategy and compare what they found; written to strategies/<digest>/result.json."""
    if len(set(names)) < len(names) or not names:
        raise SettingsError(f"strategies {', '.join(names) or '(none)'}: name at least one, each once")
    entrants = {name: entered(corpus, name) for name in names}
    stage = asked(corpus, names, seeds)
    # Each entrant's own journal is read by its search; those of the other entrants are among the others' pasts.
    known = {key: result for entrant in entrants.values() for key, result in takeover.known(entrant).items()}
    trainer = Reusing(trainer_of(corpus, SEARCH), known)
    found = {name: _searched(entrant, trainer) for name, entrant in entrants.items()}
    first = next(iter(found.values()))[0]
    mixtures = {name: recommended.schedule for name, (recommended, _) in found.items()}
    rules = {name: first.others[name] for name in RULES if name in first.others and name not in mixtures}
    if not rules:
        raise SettingsError("every strategy is a rule; name one that searches")
    schedules: dict[str, Schedule] = {**mixtures, **rules}
    judging = corpus.settings.search.model_copy(update={"final_seeds": seeds})
    judges = Corpus(corpus.workspace, corpus.settings.model_copy(update={"search": judging}), corpus.progress)
    with stage.lease(), working(stage) as place:
        judged = compare(
            place.folder,
            schedules,
            proxy=corpus.settings.proxy,
            settings=judging,
            data=f"{mixing.data_digest(corpus)}-{FINAL}",
            trainer=Reusing(trainer_of(corpus, FINAL), takeover.known_finals(judges)),
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


def _searched(corpus: Corpus, trainer: Trainer) -> tuple[Recommendation, dict[str, Any]]:
    """All rounds, or what is missing of them, and what they would cost alone."""
    stage = mixing.search(corpus)
    with stage.lease(), working(stage) as place:
        search = search_of(corpus, place.folder)
        total = sum(search.settings.trainings)
        watch = watching(corpus, search.settings.strategy, place, total, min(total, num_done(place)))
        search.run_rounds(trainer, watch)
        return search.recommend(), _cost(search)


def _cost(search: MixtureSearch) -> dict[str, Any]:
    entries = [entry for entry in journal.read(search.journal) if entry.trial.round in search.rounds]
    return {
        "num_runs": len(entries),
        "tokens": sum(entry.result.tokens for entry in entries),
        "seconds": sum(entry.result.seconds for entry in entries),
    }
