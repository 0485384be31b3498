"""The search loop: propose, train, fit, round by round, out of one folder that holds all its state.

    candidates/rules.parquet, round-1.parquet ..., random.parquet    written before their trials are trained
    journal.jsonl                                                    a line per finished trial
    fits/round-1.json ...                                            what each refit believes
    recommendation.json, report.json                                 the end; only the report holds times

Every step reads what it needs from the folder and does nothing twice: resuming is running again, and each step
may run in a process of its own. Round 0 is the zero-training rules. After the last round come the runs that
random search has beyond round 1: the start sampler is drawn once for both, and its first rows are (of `auto`, are
among) round 1 of the strategy and of random search alike, which saves those runs and changes neither's distribution.
No other run of rules or of random search is shown to the strategy.

A strategy that buys cheap trials has candidates with a fidelity, the share of the tokens that they are trained on: a
round of n trials costs at most as many tokens as n whole ones. Losses of other tokens are not compared: what is best,
the leaderboard and rank correlations are of whole trials, rules and random search among them.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mixer import candidates, evidence, phases
from mixer.candidates import Candidates, Floats, Space
from mixer.journal import read, write_whole
from mixer.problem import problem_of, strategy_of
from mixer.recommendation import Recommendation, reported
from mixer.runs import Objective, Progress, no_progress, results, train_trials
from mixer.strategies import rules
from mixer.strategies.choice import IN_ORDER
from mixer.strategies.random_search import RandomSearch
from mixer.strategies.reuse import Groups
from mixer.strategy import History, Problem, Strategy, Target, among, proposed
from mixer.tables import Runs, of_history
from mixer.trainer import Trainer
from mixer.trial import Trial
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


def run_search(
    folder: Path,
    *,
    token_counts: Sequence[int],
    target: Target,
    proxy: Proxy,
    settings: Search,
    data: str,
    trainer: Trainer,
    objective: Objective,
    progress: Callable[[Progress], None] = no_progress,
    budget_tokens: int = 0,
    tasks: Sequence[str] = (),
    weights: Sequence[float] = (),
    groups: Groups | None = None,
) -> Recommendation:
    """The whole search in `folder`, or what is left of it after a kill."""
    search = MixtureSearch(
        folder=folder,
        token_counts=tuple(token_counts),
        target=target,
        proxy=proxy,
        settings=settings,
        data=data,
        objective=objective,
        budget_tokens=budget_tokens,
        tasks=tuple(tasks),
        weights=tuple(weights),
        groups=groups,
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

    `target`: where its search documents lie, and of what topics they are. `data`: digest of token pools and targets.
    `budget_tokens`: of the dataset, for the repetition caps; 0: what the clusters hold. `tasks`: the evaluations
    whose mean is the objective, by `weights`, for strategies that predict each apart; none: the objective as one.
    `groups`: of clusters whose shares among themselves are frozen, and bounds of shares.
    """

    folder: Path
    token_counts: tuple[int, ...]
    target: Target
    proxy: Proxy
    settings: Search
    data: str
    objective: Objective
    budget_tokens: int = 0
    tasks: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    groups: Groups | None = None

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
    def problem(self) -> Problem:
        return problem_of(
            self.settings,
            self.token_counts,
            self.target,
            budget_tokens=self.budget,
            tasks=self.tasks,
            weights=self.weights,
            groups=self.groups,
        )

    @cached_property
    def start(self) -> Floats:
        """What the start sampler drew, as mixtures of all clusters."""
        drawn = self.problem.start
        return drawn if self.groups is None else self.groups.expand(drawn)

    @cached_property
    def strategy(self) -> Strategy:
        return strategy_of(self.settings, self.problem, self.groups)

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
            self.trials(number),
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
            shares=self.settings.phases,
            fitted=self.strategy.fit(history),
            refit=lambda rows: self.strategy.fit(history.take(rows)),
            outcomes=self.outcomes(number),
        )
        _write_json(self.folder / "fits" / f"round-{number}.json", found)
        return found

    def propose_rules(self) -> list[Trial]:
        """The trials of the zero-training rules' mixtures, as round 0."""
        mixtures = self._ruled()
        self._written(0, lambda: Candidates.unpredicted(np.array(list(mixtures.values())), tuple(mixtures)))
        return self.trials(0)

    def train_rules(self, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Train the zero-training rules' mixtures, but those that the search has trained itself."""
        self.propose_rules()
        self.train_round(0, trainer, progress)

    def propose_random(self) -> list[Trial]:
        """The trials that random search has beyond round 1, up to the number of runs of all rounds."""
        first = self._drawn(1)
        rest = self.start[~among(self.start, first.weights[first.whole])]
        if not len(rest):
            return []
        self._written(self._random, lambda: Candidates.unpredicted(rest, ("random",) * len(rest)))
        return self.trials(self._random)

    def train_random(self, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Train what random search has beyond round 1."""
        if self.propose_random():
            self.train_round(self._random, trainer, progress)

    @one_thread
    def recommend(self) -> Recommendation:
        """The strategy's mixture after the last round; writes recommendation.json and report.json.

        Rules and random runs are told as far as they are trained.
        """
        history = self._history(self.rounds[-1])
        weights = self.strategy.recommend(history)
        others = self._ruled()
        random = self._random_history()
        if len(random):
            others["random"] = RandomSearch(self.start).recommend(random)
        found = Recommendation.of(
            weights,
            self.strategy.fit(history),
            others,
            self.budget,
            self.folder / "report.json",
            self.settings.phases,
        )
        _write_json(self.folder / "recommendation.json", found.to_json())
        _write_json(found.report, self._report(found))
        return found

    def table(self, buckets: Sequence[str]) -> Runs:
        """Every run of all tokens, rules and random ones among them, under these names of the buckets."""
        outcomes = self._outcomes_up_to(self.rounds[-1]) + self._trained(0) + self._trained(self._random)
        kept = {one.trial.key: one for one in outcomes if math.isfinite(one.loss) and one.fidelity == 1}
        history = evidence.history(list(kept.values()), len(buckets), self._num_phases)
        if not self.settings.phases:
            return of_history(history, buckets, tuple(kept))
        # Shares of all tokens, so that a row sums to 1 and a column is what one phase reads of a bucket.
        rows = history.weights * np.repeat(self.settings.phases, len(buckets))
        columns = [f"phase {phase} {name}" for phase in range(1, self._num_phases + 1) for name in buckets]
        return of_history(replace(history, weights=rows), columns, tuple(kept))

    # -----------------------------------------------------------------------------------------------------
    # What the steps share

    @property
    def _num_phases(self) -> int:
        return len(self.settings.phases) or 1

    def _ruled(self) -> dict[str, Floats]:
        """The rules' mixtures, the same in every phase."""
        mixtures = rules.all_of(self.space, self.target)
        return {name: np.tile(row, self._num_phases) for name, row in mixtures.items()}

    @property
    def _random(self) -> int:
        """The round number of random search's further runs."""
        return self.rounds[-1] + 1

    def _proposed(self, history: History, n: int) -> Candidates:
        found = proposed(self.strategy, history, n)
        fitted = self.strategy.fit(history) if len(history) else None
        names = (self.strategy.name,) * len(found.weights)
        if fitted is None:
            return Candidates.unpredicted(found.weights, names, found.fidelities)
        return Candidates(found.weights, names, *fitted.predict(found.weights), found.fidelities)

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
            **({} if self.groups is None else {"groups": self.groups.inner.tolist()}),
            "token_counts": self.token_counts,
            "budget_tokens": self.budget,
            "proxy": self.proxy.model_dump(mode="json"),
            "data": self.data,
        }

    @one_thread
    def distinct(self, *, random: bool) -> tuple[int, int, int]:
        """How many whole trials round 1, the rules, and random search ask for that none before them does."""
        drawn, n = self._path(1).exists(), self.settings.rounds[0]
        round_1 = self._drawn(1) if drawn else self._proposed(self._as_history([]), n)
        first = round_1.weights[round_1.whole]
        seen = self.start if self.settings.strategy in IN_ORDER else first
        counts = [len(_unique(first))]
        for rows in (np.array(list(self._ruled().values())), self.start[: len(self.start) if random else 0]):
            counts.append(len(_unique(rows[~among(rows, seen)])))
            seen = np.concatenate([seen, rows])
        return counts[0], counts[1], counts[2]

    def _drawn(self, number: int) -> Candidates:
        if not self._path(number).exists():
            raise StoreError(f"{self._path(number)} is missing: round {number} has not been proposed")
        return candidates.read(self._path(number), self._about(number))

    def trials(self, number: int) -> list[Trial]:
        """The round's trials, those of one candidate's seeds one after the other."""
        return [trial for trials in self._by_candidate(number) for trial in trials]

    def _by_candidate(self, number: int) -> list[list[Trial]]:
        drawn = self._drawn(number)
        return [
            [
                Trial(
                    schedule=phases.schedule(row, self.settings.phases, round(share * self.settings.tokens)),
                    proxy=self.proxy,
                    seed=self.settings.seed + repeat,
                    data=self.data,
                    round=number,
                    index=index,
                    name=name,
                )
                for repeat in range(self.settings.seeds)
            ]
            for index, (row, name, share) in enumerate(zip(drawn.weights, drawn.names, drawn.fidelities, strict=True))
        ]

    def outcomes(self, number: int) -> list[evidence.Outcome]:
        """Every candidate of a round with what was predicted and measured; TrialError where one is untrained."""
        drawn = self._drawn(number)
        known = results(read(self.journal))
        trials = self._by_candidate(number)
        every = [trial for seeds in trials for trial in seeds]
        lacking = sum(trial.key not in known for trial in every)
        if lacking:
            raise TrialError(f"{lacking} of {len(every)} trials of round {number} are not trained yet; train it first")
        return [
            evidence.outcome(seeds[0], [known[trial.key] for trial in seeds], self.objective, *told)
            for seeds, *told in zip(trials, drawn.predicted, drawn.spread, drawn.fidelities, strict=True)
        ]

    def _trained(self, number: int) -> list[evidence.Outcome]:
        """The same, and nothing for a round that was never proposed."""
        return self.outcomes(number) if self._path(number).exists() else []

    def _history(self, number: int) -> History:
        """The successful trials of rounds 1 to `number`, in order."""
        return self._as_history(self._outcomes_up_to(number))

    def _as_history(self, outcomes: list[evidence.Outcome]) -> History:
        return evidence.history(outcomes, len(self.token_counts), self._num_phases)

    def _outcomes_up_to(self, number: int) -> list[evidence.Outcome]:
        return [outcome for earlier in range(1, number + 1) for outcome in self.outcomes(earlier)]

    def _random_history(self) -> History:
        first = self._drawn(1)
        drawn = among(first.weights, self.start) & first.whole
        shared = [outcome for outcome, random in zip(self.outcomes(1), drawn, strict=True) if random]
        return self._as_history(shared + self._trained(self._random))

    def _report(self, found: Recommendation) -> dict[str, Any]:
        fits = [self.folder / "fits" / f"round-{number}.json" for number in self.rounds]
        # The search itself where it is random search, whose further runs are its own rounds.
        baselines = {"rules": self._trained(0), "random": self._trained(self._random)}
        return {
            "strategy": self.strategy.name,
            "settings": self.settings.model_dump(mode="json"),
            "proxy": self.proxy.model_dump(mode="json"),
            "data": self.data,
            "token_counts": list(self.token_counts),
            "budget_tokens": self.budget,
            **reported(
                found,
                token_counts=self.token_counts,
                parts={**baselines, self.strategy.name: self._outcomes_up_to(self.rounds[-1])},
                fits=[json.loads(path.read_text()) for path in fits if path.exists()],
                unit=self.objective.unit,
            ),
        }


def _unique(rows: Floats) -> Floats:
    """As `among` tells rows apart."""
    found: Floats = np.unique(np.round(rows, 9), axis=0)
    return found


def _write_json(path: Path, values: Any) -> None:
    write_whole(path, json.dumps(values, indent=1, allow_nan=False).encode() + b"\n")
