"""CLIMB (2504.13161): rounds of proxies, each drawn from what a predictor of all rounds before ranks best.

The recipe is the official one (NeMo Curator, nemotron-climb-data-curation): a first round from the start
sampler; then, each round, a refit on everything, the top max(n * n, 128) of one pool of candidates, the same
in every round, and n of them by uniform choice without replacement (the top one, for n = 1); at the end the
pool's best by the last fit. Where script and paper differ on mixtures already tried, the paper holds: they
are left out of a proposal, since the same training again tells nothing. The last choice runs over the whole
pool, tried ones too.
"""

from dataclasses import dataclass, field

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted
from mixer.predictor import LightGBM, Predictor
from mixer.strategy import History
from pipelines.errors import SettingsError

MIN_TOP = 128


@dataclass(frozen=True, slots=True, eq=False)
class Climb:
    """`start`: (rows, buckets) that the first round takes in order; `pool`: (rows, buckets) that are ranked."""

    start: Floats
    pool: Floats
    predictor: Predictor = field(default_factory=LightGBM)
    seed: int = 42
    name: str = "climb"

    def propose(self, history: History, n: int) -> Floats:
        if not len(history):
            return _first(self.start, n)
        untried = self.pool[~_among(self.pool, history.weights)]
        if n > len(untried):
            raise SettingsError(
                f"{n} trials in a round, but {len(untried)} candidates untried; raise search.candidates"
            )
        top = self._best_first(history, untried)[: max(n * n, MIN_TOP) if n > 1 else 1]
        random = np.random.default_rng([self.seed, 2, history.num_rounds])
        chosen: Floats = untried[random.choice(top, n, replace=False)]
        return chosen

    def recommend(self, history: History) -> Floats:
        """Weights of the lowest prediction in the pool, its spread added.

        The spread of trees is one number for all candidates, so that this is the recipe's argmin. A process of few
        runs is unsure far from them: real proxies, 42 runs, second search seed, a mixture predicted at 4.93 +- .30
        gave 5.30 nats; with the spread the choice gave 5.05, and where the mean alone did well no less.

        Trees give it to a whole cell of candidates at once. Their mean lies in the cell too, as far from its
        walls as it gets; the first drawn, which an argmin would take, is anywhere. On a planted optimum of 8
        buckets, 64/32/16 runs, 6 seeds: .13 nats off against .07. Where the lowest candidates make up several
        cells, the one nearest to their mean is taken.
        """
        fitted = self.fit(history)
        predicted = _at_worst(fitted, self.pool)
        lowest = self.pool[predicted == predicted.min()]
        centre: Floats = lowest.mean(axis=0)
        if _at_worst(fitted, centre[np.newaxis])[0] <= predicted.min():
            return centre
        nearest: Floats = lowest[np.argmin(((lowest - centre) ** 2).sum(axis=1))]
        return nearest

    def fit(self, history: History) -> Fitted:
        return self.predictor.fit(history.weights, history.losses)

    def _best_first(self, history: History, rows: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        # Stable, so that ties keep the order of the draws on every machine.
        return np.argsort(self.fit(history).mean(rows), kind="stable")


@dataclass(frozen=True, slots=True, eq=False)
class RandomSearch:
    """The best measured of `start`, taken in order: what a search must beat at its budget (Best@N)."""

    start: Floats
    name: str = "random"

    def propose(self, history: History, n: int) -> Floats:
        return _first(self.start[len(history) :], n)

    def recommend(self, history: History) -> Floats:
        best: Floats = history.weights[np.argmin(history.losses)]
        return best

    def fit(self, history: History) -> None:
        return None


def _at_worst(fitted: Fitted, rows: Floats) -> Floats:
    """One standard deviation above the prediction."""
    mean, spread = fitted.predict(rows)
    return mean + spread


def _first(rows: Floats, n: int) -> Floats:
    if n > len(rows):
        raise SettingsError(f"{n} trials in a round, but {len(rows)} mixtures are drawn for it")
    return rows[:n]


def _among(rows: Floats, others: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    known = {row.tobytes() for row in others}
    return np.fromiter((row.tobytes() in known for row in rows), bool, len(rows))
