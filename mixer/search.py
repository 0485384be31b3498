"""The search loop: propose, train, fit, round by round, out of one folder that holds all its state.

    candidates/rules.parquet, round-1.parquet ..., random.parquet    each round's, as proposals.py says
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
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mixer import evidence
from mixer.candidates import Candidates, Floats, Space
from mixer.journal import write_whole
from mixer.problem import problem_of, strategy_of
from mixer.proposals import Proposals
from mixer.proxies.trainer import Trainer
from mixer.recommendation import Recommendation, reported
from mixer.runs import Objective, Progress, no_progress, train_trials
from mixer.strategies import rules
from mixer.strategies.choice import IN_ORDER
from mixer.strategies.random_search import RandomSearch
from mixer.strategies.reuse import Groups
from mixer.strategy import History, Problem, Strategy, Target, among, proposed
from mixer.trial import Trial
from pipelines.search_settings import Proxy, Search

P = ParamSpec("P")
R = TypeVar("R")


def one_thread(work: Callable[P, R]) -> Callable[P, R]:
    """Matrices of one thread: predictors' are small, where two take three times as long and differ in bits."""

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(1, "blas"):
            return work(*args, **kwargs)

    return run


@dataclass(frozen=True)
class MixtureSearch:
    """One search and its steps: for each round propose, train, fit; rules and random; recommend.

    `target`: where its search documents lie, and of what topics they are. `data`: digest of token pools and targets.
    `budget_tokens`: of the dataset, for the repetition caps; 0: what the clusters hold. `tasks`: the evaluations
    whose mean is the objective, by `weights`, for strategies that predict each apart; none: the objective as one.
    `groups`: of clusters whose shares among themselves are frozen, and bounds of shares. `early`: weights of clusters
    before the last phase where search.early names a mixture.
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
    early: tuple[float, ...] = ()

    @property
    def rounds(self) -> range:
        return range(1, len(self.settings.rounds) + 1)

    @property
    def journal(self) -> Path:
        return self.proposals.journal

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
            early=self.early,
        )

    @cached_property
    def proposals(self) -> Proposals:
        return Proposals(self.folder, self.proxy, self.settings, self.data, self.objective, self._about())

    @cached_property
    def start(self) -> Floats:
        """What the start sampler drew, as mixtures of all clusters."""
        drawn = self.problem.start
        return drawn if self.groups is None else self.groups.expand(drawn)

    @cached_property
    def strategy(self) -> Strategy:
        return strategy_of(self.settings, self.problem, self.groups, self.early)

    # -----------------------------------------------------------------------------------------------------
    # Steps

    def run(self, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> Recommendation:
        """The whole search in its folder, or what is left of it after a kill."""
        self.run_rounds(trainer, progress)
        self.train_rules(trainer, progress)
        self.train_random(trainer, progress)
        return self.recommend()

    def run_rounds(self, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Its rounds alone, without what they are held against."""
        for number in self.rounds:
            self.propose_round(number)
            self.train_round(number, trainer, progress)
            self.fit_round(number)

    @one_thread
    def propose_round(self, number: int) -> Path:
        """Write the round's candidates where there are none; the rounds before must be trained."""
        history = self._history(number - 1)
        return self.proposals.written(number, lambda: self._proposed(history, self.settings.rounds[number - 1]))

    def train_round(self, number: int, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Train what the journal lacks of the round; TrialError where more than max_failed of it fails."""
        train_trials(
            self.journal,
            self.proposals.trials(number),
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
            outcomes=self.proposals.outcomes(number),
        )
        _write_json(self.folder / "fits" / f"round-{number}.json", found)
        return found

    def propose_rules(self) -> list[Trial]:
        """The trials of the zero-training rules' mixtures, as round 0."""
        mixtures = self._ruled()
        self.proposals.written(0, lambda: Candidates.unpredicted(np.array(list(mixtures.values())), tuple(mixtures)))
        return self.proposals.trials(0)

    def train_rules(self, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Train the zero-training rules' mixtures, but those that the search has trained itself."""
        self.propose_rules()
        self.train_round(0, trainer, progress)

    def propose_random(self) -> list[Trial]:
        """The trials that random search has beyond round 1, up to the number of runs of all rounds."""
        first = self.proposals.drawn(1)
        rest = self.start[~among(self.start, first.weights[first.whole])]
        if not len(rest):
            return []
        self.proposals.written(self.proposals.random, lambda: Candidates.unpredicted(rest, ("random",) * len(rest)))
        return self.proposals.trials(self.proposals.random)

    def train_random(self, trainer: Trainer, progress: Callable[[Progress], None] = no_progress) -> None:
        """Train what random search has beyond round 1."""
        if self.propose_random():
            self.train_round(self.proposals.random, trainer, progress)

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

    def outcomes(self) -> list[evidence.Outcome]:
        """Of all candidates: the rounds', then the rules' and random search's, as far as they are trained."""
        own = self.proposals.outcomes_up_to(self.rounds[-1])
        return own + self.proposals.trained(0) + self.proposals.trained(self.proposals.random)

    @one_thread
    def distinct(self, *, random: bool) -> tuple[int, int, int]:
        """How many whole trials round 1, the rules, and random search ask for that none before them does."""
        drawn, n = self.proposals.path(1).exists(), self.settings.rounds[0]
        round_1 = self.proposals.drawn(1) if drawn else self._proposed(self._as_history([]), n)
        first = round_1.weights[round_1.whole]
        seen = self.start if self.settings.strategy in IN_ORDER else first
        counts = [len(_unique(first))]
        for rows in (np.array(list(self._ruled().values())), self.start[: len(self.start) if random else 0]):
            counts.append(len(_unique(rows[~among(rows, seen)])))
            seen = np.concatenate([seen, rows])
        return counts[0], counts[1], counts[2]

    # -----------------------------------------------------------------------------------------------------
    # What the steps share

    @property
    def _num_phases(self) -> int:
        return len(self.settings.phases) or 1

    def _ruled(self) -> dict[str, Floats]:
        """The rules' mixtures, the same in every phase."""
        mixtures = rules.all_of(self.space, self.target)
        return {name: np.tile(row, self._num_phases) for name, row in mixtures.items()}

    def _proposed(self, history: History, n: int) -> Candidates:
        found = proposed(self.strategy, history, n)
        fitted = self.strategy.fit(history) if len(history) else None
        names = (self.strategy.name,) * len(found.weights)
        if fitted is None:
            return Candidates.unpredicted(found.weights, names, found.fidelities)
        return Candidates(found.weights, names, *fitted.predict(found.weights), found.fidelities)

    def _about(self) -> dict[str, Any]:
        """What candidates follow from, beside the journal."""
        asked = {"rounds", "tokens", "candidates", "concentration", "max_epochs", "seed"}
        return {
            **self.settings.model_dump(mode="json", include=asked),
            **self.settings.chosen(),
            **({} if self.groups is None else {"groups": self.groups.inner.tolist()}),
            **({"early_weights": self.early} if self.early else {}),
            "token_counts": self.token_counts,
            "budget_tokens": self.budget,
            "proxy": self.proxy.model_dump(mode="json"),
            "data": self.data,
        }

    def _history(self, number: int) -> History:
        """The successful trials of rounds 1 to `number`, in order."""
        return self._as_history(self.proposals.outcomes_up_to(number))

    def _as_history(self, outcomes: list[evidence.Outcome]) -> History:
        return evidence.history(outcomes, len(self.token_counts), self._num_phases)

    def shared_with_random(self) -> frozenset[int]:
        """Places in round 1 of what random search begins with too: whole trials that the start sampler drew."""
        if not self.proposals.path(1).exists():
            return frozenset()
        first = self.proposals.drawn(1)
        return frozenset(np.flatnonzero(among(first.weights, self.start) & first.whole).tolist())

    def _random_history(self) -> History:
        drawn = self.shared_with_random()
        shared = [outcome for place, outcome in enumerate(self.proposals.outcomes(1)) if place in drawn]
        return self._as_history(shared + self.proposals.trained(self.proposals.random))

    def _report(self, found: Recommendation) -> dict[str, Any]:
        fits = [self.folder / "fits" / f"round-{number}.json" for number in self.rounds]
        # The search itself where it is random search, whose further runs are its own rounds.
        baselines = {"rules": self.proposals.trained(0), "random": self.proposals.trained(self.proposals.random)}
        told = reported(
            found,
            token_counts=self.token_counts,
            parts={**baselines, self.strategy.name: self.proposals.outcomes_up_to(self.rounds[-1])},
            fits=[json.loads(path.read_text()) for path in fits if path.exists()],
            unit=self.objective.unit,
        )
        drawn = {(1, place) for place in self.shared_with_random()}
        return {
            "strategy": self.strategy.name,
            "settings": self.settings.model_dump(mode="json"),
            "proxy": self.proxy.model_dump(mode="json"),
            "data": self.data,
            "token_counts": list(self.token_counts),
            "budget_tokens": self.budget,
            **told,
            "trials": [
                {**trial, **({"drawn": True} if (trial["round"], trial["index"]) in drawn else {})}
                for trial in told["trials"]
            ],
        }


def _unique(rows: Floats) -> Floats:
    """As `among` tells rows apart."""
    found: Floats = np.unique(np.round(rows, 9), axis=0)
    return found


def _write_json(path: Path, values: Any) -> None:
    write_whole(path, json.dumps(values, indent=1, allow_nan=False).encode() + b"\n")
