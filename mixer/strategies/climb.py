"""CLIMB (2504.13161): rounds of proxies, each drawn from what a predictor of all rounds before ranks best.

A first round from the start sampler; then, each round, a refit on everything, the top max(n * n, 128) of one pool
of candidates, the same in every round, and n of them by uniform choice without replacement (the top one, for
n = 1); at the end the pool's best by the last fit. That is the official recipe (NeMo Curator,
nemotron-climb-data-curation). Where recipe and paper differ there is a strategy of each name:

    climb-recipe   mixtures already tried stay in the pool; ends with the lowest prediction, the first of equals
    climb-paper    tried ones are left out (2504.13161, section 3); ends the same way
    climb          as in the paper; few runs are predicted by kriging; ends with caution, see `recommend`
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixer.candidates import Floats
from mixer.prediction import Fitted, Predictor
from mixer.predictors.trees import LightGBM
from mixer.strategy import History, Problem, first, untried

MIN_TOP = 128
MIN_RUNS = 12  # under which CLIMB's own trees have nothing to split, nor to stop on


@dataclass(frozen=True, slots=True, eq=False)
class Climb:
    """`start`: (rows, buckets) that the first round takes in order; `pool`: (rows, buckets) that are ranked."""

    start: Floats
    pool: Floats
    predictor: Predictor = field(default_factory=LightGBM)
    seed: int = 42
    retries: bool = False  # whether a mixture already tried may be proposed again
    cautious: bool = True
    listed: bool = False  # only rows of the pool may be recommended
    name: str = "climb"

    def propose(self, history: History, n: int) -> Floats:
        if not len(history):
            return first(self.start, n)
        tried = History.empty(self.pool.shape[1]) if self.retries else history
        rows = untried(self.pool, tried, n)
        top = self._best_first(history, rows)[: self._num_top(n)]
        random = np.random.default_rng([self.seed, 2, history.num_rounds])
        chosen: Floats = rows[random.choice(top, n, replace=False)]
        return chosen

    def recommend(self, history: History) -> Floats:
        """Weights of the lowest prediction in the pool; where cautious, with its spread added.

        The spread of trees is one number for all candidates, so that this is the recipe's argmin. A process of few
        runs is unsure far from them: real proxies, 42 runs, second search seed, a mixture predicted at 4.93 +- .30
        gave 5.30 nats; with the spread the choice gave 5.05, and where the mean alone did well no less.

        Trees give it to a whole cell of candidates at once. Their mean lies in the cell too, as far from its
        walls as it gets; the first drawn, which an argmin would take, is anywhere. On a planted optimum of 8
        buckets, 64/32/16 runs, 6 seeds: .13 nats off against .07. Where the lowest candidates make up several
        cells, the one nearest to their mean is taken.
        """
        fitted = self.fit(history)
        if not self.cautious:
            best: Floats = self.pool[np.argmin(fitted.mean(self.pool))]
            return best
        predicted = at_worst(fitted, self.pool)
        lowest = self.pool[predicted == predicted.min()]
        centre: Floats = lowest.mean(axis=0)
        if not self.listed and at_worst(fitted, centre[np.newaxis])[0] <= predicted.min():
            return centre
        nearest: Floats = lowest[np.argmin(((lowest - centre) ** 2).sum(axis=1))]
        return nearest

    def fit(self, history: History) -> Fitted:
        return self.predictor.fit(history.weights, history.losses)

    def _num_top(self, n: int) -> int:
        """How many are drawn from; of a list of hundreds the recipe's number would be nearly all."""
        if n == 1:
            return 1
        return 2 * n if self.listed else max(n * n, MIN_TOP)

    def _best_first(self, history: History, rows: Floats) -> NDArray[np.intp]:
        # Stable, so that ties keep the order of the draws on every machine.
        return np.argsort(self.fit(history).mean(rows), kind="stable")


def climb(problem: Problem) -> Climb:
    trees = problem.predictor or LightGBM(problem.seed)
    return Climb(problem.start, problem.pool, trees, problem.seed, listed=problem.listed)


def climb_paper(problem: Problem) -> Climb:
    trees = problem.predictor or LightGBM(problem.seed, min_runs=MIN_RUNS)
    return Climb(
        problem.start, problem.pool, trees, problem.seed, cautious=False, listed=problem.listed, name="climb-paper"
    )


def climb_recipe(problem: Problem) -> Climb:
    trees = problem.predictor or LightGBM(problem.seed, min_runs=MIN_RUNS)
    return Climb(
        problem.start,
        problem.pool,
        trees,
        problem.seed,
        retries=True,
        cautious=False,
        listed=problem.listed,
        name="climb-recipe",
    )


def at_worst(fitted: Fitted, rows: Floats) -> Floats:
    """One standard deviation above the prediction."""
    mean, spread = fitted.predict(rows)
    return mean + spread
