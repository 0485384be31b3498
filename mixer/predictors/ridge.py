"""Linear models in closed form: the mixture's weights, or their products too, with a penalty chosen by leaving out.

The penalty is the one of a grid under which rows predict best when left out, which costs one decomposition (Allen's
PRESS; Golub, Heath and Wahba 1979). The same error is the model's spread.

    linear       RegMix's linear baseline (2407.01492, table 2), penalised since runs may be fewer than buckets
    quadratic    MoDoMoDo's (2505.24871): level, weights and products of two; it fits dozens of pilots with hundreds
                 of terms, which without a penalty has no one answer
"""

from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted, Prediction

PENALTIES = np.geomspace(1e-6, 1e2, 17)  # in units of the largest squared singular value
BLOCK_ROWS = 4096  # rows whose products are in memory at once


@dataclass(frozen=True, slots=True)
class Linear:
    """A line in the weights."""

    name: str = "linear"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        return FittedRidge(weights, losses, degree=1)


@dataclass(frozen=True, slots=True)
class Quadratic:
    """A line in the weights and the products of two of them."""

    name: str = "quadratic"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        return FittedRidge(weights, losses, degree=2)


class FittedRidge:
    """A fitted line; its spread is the error of rows left out."""

    def __init__(self, weights: Floats, losses: Floats, degree: int) -> None:
        self._degree = degree
        features = terms(weights, degree)
        self._centre, self._level = features.mean(axis=0), float(losses.mean())
        self._slope, self._error, penalty = left_out_best(features - self._centre, losses - self._level)
        kind = "linear" if degree == 1 else "quadratic"
        self.note = f"{kind}: {len(losses)} runs, {features.shape[1]} terms, penalty {penalty:.2g}"

    def mean(self, weights: Floats) -> Floats:
        parts = [
            self._level + (terms(weights[start : start + BLOCK_ROWS], self._degree) - self._centre) @ self._slope
            for start in range(0, len(weights), BLOCK_ROWS)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def predict(self, weights: Floats) -> Prediction:
        return Prediction(self.mean(weights), np.full(len(weights), self._error))


def terms(weights: Floats, degree: int) -> Floats:
    """(rows, terms): the weights, and at degree 2 the products of each with itself and those after it."""
    if degree == 1:
        return weights
    left, right = np.triu_indices(weights.shape[1])
    return np.concatenate([weights, weights[:, left] * weights[:, right]], axis=1)


def left_out_best(features: Floats, targets: Floats) -> tuple[Floats, float, float]:
    """(terms,) slope, root mean square error of rows left out, and the penalty, of centred features and targets.

    One degree of freedom goes to the mean, which is refitted with each row left out.
    """
    left, values, right = np.linalg.svd(features, full_matrices=False)
    squares = values**2
    turned = left.T @ targets
    penalties = PENALTIES * max(float(squares.max(initial=0.0)), 1e-300)
    kept = squares / (squares + penalties[:, None])  # (penalties, directions)
    fitted = (kept * turned) @ left.T
    leverage = kept @ (left**2).T + 1 / len(targets)
    errors = np.sqrt((((targets - fitted) / np.maximum(1 - leverage, 1e-6)) ** 2).mean(axis=1))
    best = int(np.argmin(errors))
    slope = right.T @ (np.divide(kept[best], values, out=np.zeros_like(values), where=values > 0) * turned)
    return slope, float(errors[best]), float(penalties[best])
