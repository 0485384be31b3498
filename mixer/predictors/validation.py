"""How well a predictor ranks trials that it has not seen, and what chance alone would give."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixer.candidates import Floats
from mixer.prediction import Fitted

Rows = NDArray[np.intp]

FOLDS = 5
REPEATS = 4


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
    fit: Callable[[Rows], Fitted], weights: Floats, losses: Floats, *, repeats: int = REPEATS, seed: int = 0
) -> Validation:
    """5-fold cross-validation of what `fit` makes of the rows it is given, repeated with other folds.

    The correlation of one repeat is over all its held-out rows together: folds of a dozen runs hold two or
    three, too few to rank. Under 5 runs each row is its own fold; under 3 there is nothing to rank (NaN).
    """
    num = len(losses)
    if num < 3:
        return Validation(math.nan, math.nan, math.nan, num, math.nan)
    random = np.random.default_rng(seed)
    held_out = np.array([unseen(fit, weights, random) for _ in range(repeats)])
    correlations = [rank_correlation(predicted, losses) for predicted in held_out]
    return Validation(
        spearman=float(np.mean(correlations)),
        spearman_spread=float(np.std(correlations)),
        rmse=float(np.sqrt(np.mean((held_out - losses) ** 2))),
        num_runs=num,
        chance=1.645 / math.sqrt(num - 1),
    )


def unseen(fit: Callable[[Rows], Fitted], weights: Floats, random: np.random.Generator) -> Floats:
    """(rows,) each predicted by what was fitted without its fold."""
    num = len(weights)
    predicted = np.empty(num)
    for fold in np.array_split(random.permutation(num), min(FOLDS, num)):
        predicted[fold] = fit(np.setdiff1d(np.arange(num), fold)).mean(weights[fold])
    return predicted


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's, with average ranks for ties; 0 where either side is constant, since it ranks nothing."""
    a, b = (_ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm if norm else 0.0


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
