"""The search loop: propose, train, fit, round by round, out of one folder that holds all its state.

    candidates/rules.parquet, round-1.parquet ..., random.parquet    written before their trials are trained
    journal.jsonl                                                    a line per finished trial
    fits/round-1.json ...                                            what each refit believes
    recommendation.json, report.json                                 the end; only the report holds times

Every step reads what it needs from the folder and does nothing twice: resuming is running again, and each step
may run in a process of its own. Round 0 is the zero-training rules. After the last round come the runs that
random search has beyond round 1: the start sampler is drawn once for both, and its first rows are round 1 of
the strategy and of random search alike, which saves those runs and changes neither's distribution. Neither
rules nor random runs are shown to the strategy.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mixer import candidates, evidence
from mixer.candidates import Candidates, Floats, Space
from mixer.journal import read, write_whole
from mixer.predictors.choice import predictor
from mixer.runs import Objective, Progress, no_progress, results, train_trials
from mixer.strategies import rules
from mixer.strategies.choice import strategy
from mixer.strategies.random_search import RandomSearch
from mixer.strategy import History, Problem, Strategy, Target
from mixer.tables import Runs, of_history
from mixer.trainer import Trainer
from mixer.trial import Schedule, Trial
from pipelines.errors import StoreError, TrialError
from pipelines.settings import Proxy, Search

P = ParamSpec("P")
R = TypeVar("R")


def one_thread(work: Callable[P, R]) -> Callable[P, R]:
    """Matrices of one thread: predictors' are small, where two take three times as long and differ in bits."""

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(1, "blas"):
            return work(*args, **kwargs)

    return run


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The mixture found, as a schedule of one phase over the dataset's budget, and those that it must beat."""

    schedule: Schedule
    predicted: float  # loss at the proxies' size and tokens
    spread: float
    others: dict[str, Schedule]  # natural, uniform, nearest, entropy, random
    report: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "schedule": self.schedule.to_json(),
            "predicted": evidence.finite(self.predicted),
            "spread": evidence.finite(self.spread),
            "others": {name: schedule.to_json() for name, schedule in self.others.items()},
        }


def run_search(
    folder: Path,
    *,
    token_counts: Sequence[int],
    nearest: ArrayLike,
    proxy: Proxy,
    settings: Search,
    data: str,
    trainer: Trainer,
    objective: Objective,
    progress: Callable[[Progress], None] = no_progress,
    budget_tokens: int = 0,
    tasks: Sequence[str] = (),
    weights: Sequence[float] = (),
) -> Recommendation:
    """The whole search in `folder`, or what is left of it after a kill."""
    search = MixtureSearch(
        folder=folder,
        token_counts=tuple(token_counts),
        nearest=tuple(np.asarray(nearest, np.float64).tolist()),
        proxy=proxy,
        settings=settings,
        data=data,
        objective=objective,
        budget_tokens=budget_tokens,
        tasks=tuple(tasks),
        weights=tuple(weights),
    )
    for number in search.rounds:
        search.propose_round(number)
        search.train_round(number, trainer, progress)
        search.fit_round(number)
    search.train_rules(trainer, progress)
    search.train_random(trainer, progress)
    return search.recommend()


@dataclass(frozen=True)
class MixtureSearch:
    """One search and its steps: for each round propose, train, fit; rules and random; recommend.

    `nearest`: the target's own search documents per cluster. `data`: digest of token pools and targets.
    `budget_tokens`: of the dataset, for the repetition caps; 0: what the clusters hold. `tasks`: the evaluations
    whose mean is the objective, by `weights`, for strategies that predict each apart; none: the objective as one.
    """

    folder: Path
    token_counts: tuple[int, ...]
    nearest: tuple[float, ...]
    proxy: Proxy
    settings: Search
    data: str
    objective: Objective
    budget_tokens: int = 0
    tasks: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def rounds(self) -> range:
        return range(1, len(self.settings.rounds) + 1)

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def budget(self) -> int:
        return self.budget_tokens or sum(self.token_counts)

    @cached_property
    def space(self) -> Space:
        return Space.of(self.token_counts, budget_tokens=self.budget, max_epochs=self.settings.max_epochs)

    @cached_property
    def strategy(self) -> Strategy:
        asked = self.settings
        problem = Problem(
            space=self.space,
            start=self._start,
            pool=candidates.pool(self.space, asked.candidates, concentration=asked.concentration, seed=asked.seed),
            seed=asked.seed,
            target=Target.of_counts(np.array(self.nearest)),
            tasks=self.tasks,
            weights=self.weights,
            predictor=predictor(asked.predictor, asked.seed, self.token_counts, (asked.tokens,))
            if asked.predictor
            else None,
        )
        return strategy(asked.strategy, problem)

    # -----------------------------------------------------------------------------------------------------
    # Steps

    @one_thread
    def propose_round(self, number: int) -> Path:
        """Write the round's candidates where there are none; the rounds before must be trained."""
        history = self._history(number - 1)
        return self._written(number, lambda: self._proposed(history, self.settings.rounds[number - 1]))

    def train_round(self, number: int, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Train what the journal lacks of the round; TrialError where more than max_failed of it fails."""
        train_trials(
            self.journal,
            self._trials(number),
            trainer=trainer,
            objective=self.objective,
            max_failed=self.settings.max_failed,
            progress=progress,
        )

    @one_thread
    def fit_round(self, number: int) -> dict[str, Any]:
        """Refit on all rounds so far; what is found is written to fits/round-N.json and returned."""
        history = self._history(number)
        found = evidence.of_fit(
            number,
            history=history,
            recommended=self.strategy.recommend(history),
            fitted=self.strategy.fit(history),
            refit=lambda rows: self.strategy.fit(history.take(rows)),
            outcomes=self._outcomes(number),
        )
        _write_json(self.folder / "fits" / f"round-{number}.json", found)
        return found

    def train_rules(self, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Train the zero-training rules' mixtures, as round 0."""
        mixtures = rules.all_of(self.space, self.nearest)
        self._written(0, lambda: Candidates.unpredicted(np.array(list(mixtures.values())), tuple(mixtures)))
        self.train_round(0, trainer, progress)

    def train_random(self, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Train what random search has beyond round 1, up to the number of runs of all rounds."""
        rest = self._start[self.settings.rounds[0] :]
        if len(rest):
            self._written(self._random, lambda: Candidates.unpredicted(rest, ("random",) * len(rest)))
            self.train_round(self._random, trainer, progress)

    @one_thread
    def recommend(self) -> Recommendation:
        """The strategy's mixture after the last round; writes recommendation.json and report.json.

        Rules and random runs are told as far as they are trained.
        """
        history = self._history(self.rounds[-1])
        weights = self.strategy.recommend(history)
        fitted = self.strategy.fit(history)
        predicted, spread = math.nan, math.nan
        if fitted is not None:
            predicted, spread = (float(values[0]) for values in fitted.predict(weights[np.newaxis]))
        random = RandomSearch(self._start)
        others = {
            **rules.all_of(self.space, self.nearest),
            random.name: random.recommend(self._random_history()),
        }
        found = Recommendation(
            schedule=Schedule.static(weights, self.budget),
            predicted=predicted,
            spread=spread,
            others={name: Schedule.static(row, self.budget) for name, row in others.items()},
            report=self.folder / "report.json",
        )
        _write_json(self.folder / "recommendation.json", found.to_json())
        _write_json(found.report, self._report(found))
        return found

    def table(self, buckets: Sequence[str]) -> Runs:
        """Every run that was trained, rules and random ones among them, under these names of the buckets."""
        outcomes = self._outcomes_up_to(self.rounds[-1]) + self._trained(0) + self._trained(self._random)
        kept = {outcome.trial.key: outcome for outcome in outcomes if math.isfinite(outcome.loss)}
        return of_history(evidence.history(list(kept.values()), len(buckets)), buckets, tuple(kept))

    # -----------------------------------------------------------------------------------------------------
    # What the steps share

    @property
    def _random(self) -> int:
        """The round number of random search's further runs."""
        return self.rounds[-1] + 1

    @cached_property
    def _start(self) -> Floats:
        return candidates.start(self.space, sum(self.settings.rounds), seed=self.settings.seed)

    def _proposed(self, history: History, n: int) -> Candidates:
        weights = self.strategy.propose(history, n)
        fitted = self.strategy.fit(history) if len(history) else None
        names = (self.strategy.name,) * n
        if fitted is None:
            return Candidates.unpredicted(weights, names)
        return Candidates(weights, names, *fitted.predict(weights))

    def _path(self, number: int) -> Path:
        names = {0: "rules", self._random: "random"}
        return self.folder / "candidates" / f"{names.get(number, f'round-{number}')}.parquet"

    def _written(self, number: int, drawn: Callable[[], Candidates]) -> Path:
        path = self._path(number)
        if path.exists():
            candidates.read(path, self._about(number))
        else:
            candidates.write(path, drawn(), self._about(number))
        return path

    def _about(self, number: int) -> dict[str, Any]:
        """What the candidates of a round follow from, beside the journal."""
        asked = {"rounds", "tokens", "candidates", "concentration", "max_epochs", "seed"}
        return {
            "round": number,
            **self.settings.model_dump(mode="json", include=asked),
            **self.settings.chosen(),
            "token_counts": self.token_counts,
            "budget_tokens": self.budget,
            "proxy": self.proxy.model_dump(mode="json"),
            "data": self.data,
        }

    def _drawn(self, number: int) -> Candidates:
        if not self._path(number).exists():
            raise StoreError(f"{self._path(number)} is missing: round {number} has not been proposed")
        return candidates.read(self._path(number), self._about(number))

    def _trials(self, number: int) -> list[Trial]:
        drawn = self._drawn(number)
        return [
            Trial(
                schedule=Schedule.static(row, self.settings.tokens),
                proxy=self.proxy,
                seed=self.settings.seed,
                data=self.data,
                round=number,
                index=index,
                name=name,
            )
            for index, (row, name) in enumerate(zip(drawn.weights, drawn.names, strict=True))
        ]

    def _outcomes(self, number: int) -> list[evidence.Outcome]:
        """Every candidate of a round with what was predicted and measured; TrialError where one is untrained."""
        drawn = self._drawn(number)
        known = results(read(self.journal))
        trials = self._trials(number)
        lacking = sum(trial.key not in known for trial in trials)
        if lacking:
            raise TrialError(f"{lacking} of {len(trials)} trials of round {number} are not trained yet; train it first")
        return [
            evidence.outcome(trial, known[trial.key], self.objective, said, spread)
            for trial, said, spread in zip(trials, drawn.predicted, drawn.spread, strict=True)
        ]

    def _trained(self, number: int) -> list[evidence.Outcome]:
        """The same, and nothing for a round that was never proposed."""
        return self._outcomes(number) if self._path(number).exists() else []

    def _history(self, number: int) -> History:
        """The successful trials of rounds 1 to `number`, in order."""
        return evidence.history(self._outcomes_up_to(number), len(self.token_counts))

    def _outcomes_up_to(self, number: int) -> list[evidence.Outcome]:
        return [outcome for earlier in range(1, number + 1) for outcome in self._outcomes(earlier)]

    def _random_history(self) -> History:
        return evidence.history(self._outcomes(1) + self._trained(self._random), len(self.token_counts))

    def _report(self, found: Recommendation) -> dict[str, Any]:
        fits = [self.folder / "fits" / f"round-{number}.json" for number in self.rounds]
        weights = found.schedule.weights
        epochs = np.array(weights) * self.budget / np.array(self.token_counts)
        # The search itself where it is random search, whose further runs are its own rounds.
        baselines = {"rules": self._trained(0), "random": self._trained(self._random)}
        told = evidence.of_search(
            recommended={
                "weights": list(weights),
                "epochs": epochs.tolist(),
                "predicted": evidence.finite(found.predicted),
                "spread": evidence.finite(found.spread),
            },
            others={name: schedule.weights for name, schedule in found.others.items()},
            parts={**baselines, self.strategy.name: self._outcomes_up_to(self.rounds[-1])},
            fits=[json.loads(path.read_text()) for path in fits if path.exists()],
            unit=self.objective.unit,
        )
        return {
            "strategy": self.strategy.name,
            "settings": self.settings.model_dump(mode="json"),
            "proxy": self.proxy.model_dump(mode="json"),
            "data": self.data,
            "token_counts": list(self.token_counts),
            "budget_tokens": self.budget,
            **told,
        }


def _write_json(path: Path, values: Any) -> None:
    write_whole(path, json.dumps(values, indent=1, allow_nan=False).encode() + b"\n")
