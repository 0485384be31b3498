"""Predictors of a trial's loss from its weights, and how well they rank trials they have not seen.

A predictor is a frozen record of its settings; `fit` returns the fitted model, so that refitting on folds
shares nothing. Losses are standardised before trees are fitted: the recipe's target is an accuracy in
percent, whose spread over mixtures is about 1; its L1 penalty of 1 zeroes leaves where losses differ by
hundredths of a nat.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.candidates import Floats
from mixer.kriging import FittedKriging
from mixer.prediction import Fitted, Prediction

# CLIMB's limits: official recipe (NeMo Curator, nemotron-climb-data-curation) and 2504.13161, section 4.1.
ITERATIONS = 1000
STOPPING_ROUNDS = 20
HELD_OUT = 0.1
MIN_RUNS = 50
CLIMB = {
    "objective": "regression",
    "boosting": "gbdt",
    "learning_rate": 0.01,
    "lambda_l1": 1.0,
    "lambda_l2": 1.0,
    "max_depth": 4,
    "num_leaves": 16,  # all that a depth of 4 allows
    "min_data_in_leaf": 5,
    # One thread and fixed layout: the same numbers on any machine of one library version.
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

Rows = NDArray[np.intp]

FOLDS = 5


class Predictor(Protocol):
    """(rows, features) weights and (rows,) losses, in (round, index) order, to a fitted model."""

    @property
    def name(self) -> str: ...

    def fit(self, weights: Floats, losses: Floats) -> Fitted: ...


@dataclass(frozen=True, slots=True)
class LightGBM:
    """CLIMB's regularised trees: depth 4, leaves of 5, L1 = L2 = 1, early stopping on a tenth held out.

    The recipe never fits fewer than 64 runs. Under 50 (four fifths of that, so that cross-validating its first
    round refits trees) `Kriging` takes over, and `note` of what is fitted says so: leaves of 5 are too coarse, and
    stopping on the one to four runs held out is a coin toss. `infra/benchmarks/predictors.py` has the figures.
    """

    seed: int = 42
    min_runs: int = MIN_RUNS
    name: str = "lightgbm"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        if len(losses) < self.min_runs:
            return Kriging().fit(weights, losses)
        return _Trees(weights, losses, self.seed)


@dataclass(frozen=True, slots=True)
class Kriging:
    """A Gaussian process on square-rooted weights (mixer/kriging.py); the better one where runs are few."""

    name: str = "kriging"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        return FittedKriging(weights, losses)


# ---------------------------------------------------------------------------------------------------------
# How well a predictor ranks


@dataclass(frozen=True, slots=True)
class Validation:
    """Cross-validated rank correlation of predicted and measured, its spread over foldings, and the error.

    `chance` is what one ranking in twenty reaches by luck, 1.645 / sqrt(n - 1): below it, nothing shows that
    the predictor knows anything.
    """

    spearman: float
    spearman_spread: float
    rmse: float
    num_runs: int
    chance: float

    @property
    def better_than_chance(self) -> bool:
        return self.spearman > self.chance


def cross_validated(
    fit: Callable[[Rows], Fitted], weights: Floats, losses: Floats, *, repeats: int = 4, seed: int = 0
) -> Validation:
    """5-fold cross-validation of what `fit` makes of the rows it is given, repeated with other folds.

    The correlation of one repeat is over all its held-out rows together: folds of a dozen runs hold two or
    three, too few to rank. Under 5 runs each row is its own fold; under 3 there is nothing to rank (NaN).
    """
    num = len(losses)
    if num < 3:
        return Validation(math.nan, math.nan, math.nan, num, math.nan)
    random = np.random.default_rng(seed)
    held_out = np.empty((repeats, num))
    for repeat in range(repeats):
        for fold in _folds(num, random):
            rows = np.setdiff1d(np.arange(num), fold)
            held_out[repeat, fold] = fit(rows).mean(weights[fold])
    correlations = [rank_correlation(predicted, losses) for predicted in held_out]
    return Validation(
        spearman=float(np.mean(correlations)),
        spearman_spread=float(np.std(correlations)),
        rmse=float(np.sqrt(np.mean((held_out - losses) ** 2))),
        num_runs=num,
        chance=1.645 / math.sqrt(num - 1),
    )


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's, with average ranks for ties; 0 where either side is constant, since it ranks nothing."""
    a, b = (_ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm if norm else 0.0


# ---------------------------------------------------------------------------------------------------------
# Fitted models


class _Trees:
    """Boosted trees; their spread is the error on held-out folds, since trees have none of their own."""

    def __init__(self, weights: Floats, losses: Floats, seed: int) -> None:
        self._weights, self._losses, self._seed = weights, losses, seed
        self._centre = float(losses.mean())
        self._scale = float(losses.std()) or 1.0
        self._booster = _boosted(weights, (losses - self._centre) / self._scale, seed)
        trees, held_out = self._booster.num_trees(), _num_held_out(len(losses))
        self.note = f"LightGBM: {len(losses)} runs, {held_out} of them held out, {trees} trees"

    def mean(self, weights: Floats) -> Floats:
        predicted: Floats = self._booster.predict(weights) * self._scale + self._centre
        return predicted

    def predict(self, weights: Floats) -> Prediction:
        return Prediction(self.mean(weights), np.full(len(weights), self._error))

    @cached_property
    def _error(self) -> float:
        num = len(self._losses)

        def fit(rows: Rows) -> Fitted:
            return _Trees(self._weights[rows], self._losses[rows], self._seed)

        return cross_validated(fit, self._weights, self._losses, repeats=1, seed=self._seed + num).rmse


def _boosted(weights: Floats, targets: Floats, seed: int) -> Any:
    import lightgbm  # 1.6 s

    held_out = _num_held_out(len(targets))
    order = np.random.default_rng(seed).permutation(len(targets))
    train, stop = order[held_out:], order[:held_out]
    data = lightgbm.Dataset(weights[train], targets[train])
    return lightgbm.train(
        {**CLIMB, "seed": seed},
        data,
        ITERATIONS,
        valid_sets=[lightgbm.Dataset(weights[stop], targets[stop], reference=data)],
        callbacks=[lightgbm.early_stopping(min(STOPPING_ROUNDS, held_out), verbose=False)],
    )


def _num_held_out(num_runs: int) -> int:
    return max(1, round(num_runs * HELD_OUT))


def _folds(num: int, random: np.random.Generator) -> list[Rows]:
    return np.array_split(random.permutation(num), min(FOLDS, num))


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
