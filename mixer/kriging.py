"""A Gaussian process on square-rooted weights: what few trials say about mixtures near and far from them.

Square roots, because a cluster's first percent changes a loss more than its tenth. A line, since with a dozen
trials the trend is all there is to learn, and a Matern-5/2 kernel for what bends away from it. Length and noise are
chosen on a grid by marginal likelihood with mean and scale in closed form (Rasmussen and Williams 2006, section
5.4), so the same trials give the same fit.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixer.candidates import Floats
from mixer.prediction import Prediction

LENGTHS = np.geomspace(0.1, 10.0, 13)  # distances of square-rooted mixtures lie between 0 and sqrt(2)
SLOPE = 10.0  # variance of the line, in units of the bends'; 0 and 1 rank worse at 12-21 runs of the RegMix table
NOISES = np.geomspace(1e-4, 100.0, 13)  # variance of a trial's noise, in the same units; large where nothing differs
BLOCK_ROWS = 8192  # candidates whose covariances are in memory at once


@dataclass(frozen=True, slots=True)
class _Process:
    points: Floats
    length: float
    noise: float
    level: float
    scale: float  # variance
    factor: NDArray[np.floating]  # Cholesky, lower
    dual: Floats
    likelihood: float


class FittedKriging:
    """A fitted process; `mean` and `predict` take (rows, buckets) weights."""

    def __init__(self, weights: Floats, losses: Floats) -> None:
        points = np.sqrt(weights)
        fits = [_fitted(points, losses, float(length), float(noise)) for length in LENGTHS for noise in NOISES]
        self._process = max(fits, key=lambda fit: fit.likelihood)
        process = self._process
        self.note = f"kriging: {len(losses)} runs, length {process.length:.3g}, noise {process.noise:.2g}"

    def predict(self, weights: Floats) -> Prediction:
        return Prediction(self.mean(weights), self._spread(weights))

    def mean(self, weights: Floats) -> Floats:
        process = self._process
        points = np.sqrt(weights)
        parts = [
            process.level + _kernel(points[first : first + BLOCK_ROWS], process.points, process.length) @ process.dual
            for first in range(0, len(points), BLOCK_ROWS)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def _spread(self, weights: Floats) -> Floats:
        """One standard deviation of what a trial would measure."""
        process = self._process
        points = np.sqrt(weights)
        parts = []
        for first in range(0, len(points), BLOCK_ROWS):
            across = _kernel(points[first : first + BLOCK_ROWS], process.points, process.length)
            known = np.linalg.solve(process.factor, across.T)
            before = 1.0 + SLOPE * (points[first : first + BLOCK_ROWS] ** 2).sum(axis=1)
            parts.append(np.maximum(before - (known**2).sum(axis=0), 0.0))
        left = np.concatenate(parts) if parts else np.empty(0)
        spread: Floats = np.sqrt(process.scale * (left + process.noise))
        return spread


def _fitted(points: Floats, losses: Floats, length: float, noise: float) -> _Process:
    """The process of one length and noise, its level and scale at their most likely."""
    num = len(losses)
    factor = np.linalg.cholesky(_kernel(points, points, length) + noise * np.eye(num))
    ones = _solved(factor, np.ones(num))
    level = float(losses @ ones / ones.sum())
    dual = _solved(factor, losses - level)
    scale = max(float((losses - level) @ dual) / num, 1e-12)
    likelihood = -num / 2 * math.log(scale) - float(np.log(np.diag(factor)).sum())
    return _Process(points, length, noise, level, scale, factor, dual, likelihood)


def _solved(factor: NDArray[np.floating], values: Floats) -> Floats:
    found: Floats = np.linalg.solve(factor.T, np.linalg.solve(factor, values))
    return found


def _kernel(left: Floats, right: Floats, length: float) -> Floats:
    """Covariance of all pairs of rows: the line's and Matern-5/2's."""
    inner = left @ right.T
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2 * inner
    scaled = math.sqrt(5) / length * np.sqrt(np.maximum(squares, 0.0))
    kernel: Floats = SLOPE * inner + (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    return kernel
