"""A process over mixtures and the fidelity of trials: what cheap proxies say about what dear ones would measure.

A trial's loss is the target fidelity's loss, plus what its own fidelity does to it: a level, and a bias that bends
with the mixture and grows with the distance to the target, (1 - s)(1 - s') of the covariance, as in the kernel that
ADMIRE (2508.11551) takes from BoTorch. How large the bias is beside the loss itself is a point of a grid like length
and noise, chosen by likelihood; each fidelity's level is found by generalised least squares.
"""

from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.predictors.kriging import SLOPE, kernel

TARGET = 1.0
LENGTHS = np.geomspace(0.1, 10.0, 7)
NOISES = np.geomspace(1e-3, 100.0, 9)
BIASES = np.array([0.03, 0.1, 0.3, 1.0, 3.0])  # variance in units of the loss's own
POWER = 0.5


@dataclass(frozen=True, slots=True)
class _Fit:
    length: float
    bias: float
    noise: float
    scale: float
    levels: Floats
    inverse: Floats  # of the covariance of the runs
    dual: Floats
    likelihood: float


class FittedFidelities:
    """Fitted to weights (runs, buckets), fidelities (runs,) in (0, 1], 1 for the target's, and losses (runs,)."""

    def __init__(self, weights: Floats, fidelities: Floats, losses: Floats) -> None:
        self._points, self._fidelities = weights**POWER, fidelities
        self._known = np.unique(fidelities)
        levels = (fidelities[:, None] == self._known).astype(np.float64)
        fits = [
            fit
            for length in LENGTHS
            for bias in (BIASES if len(self._known) > 1 or self._known[0] < TARGET else BIASES[:1])
            for fit in [_likeliest(self._covariance(float(length), float(bias)), levels, losses, length, bias)]
        ]
        self._fit = max(fits, key=lambda fit: fit.likelihood)
        fit = self._fit
        counts = ", ".join(f"{int(levels[:, i].sum())} at {s:g}" for i, s in enumerate(self._known))
        self.note = f"fidelities: {counts}; length {fit.length:.3g}, bias {fit.bias:g}, noise {fit.noise:.2g}"

    def mean(self, weights: Floats, fidelity: float = TARGET) -> Floats:
        """(rows,) losses expected at a fidelity; its level is that of the nearest one tried, where it was not."""
        values: Floats = self._level(fidelity) + self._across(weights, fidelity) @ self._fit.dual
        return values

    def covariance(self, weights: Floats, fidelity: float, other: float) -> Floats:
        """(rows,) of each mixture's losses at two fidelities, without noise; of equal ones, the variance."""
        first, second = (self._across(weights, at) for at in (fidelity, other))
        before = 1.0 + SLOPE * (weights ** (2 * POWER)).sum(axis=1)
        before = before * (1 + self._fit.bias * (1 - fidelity) * (1 - other))
        left = before - np.einsum("ij,ij->i", first @ self._fit.inverse, second)
        known: Floats = self._fit.scale * left
        return known

    @property
    def noise(self) -> float:
        """Variance of one trial's loss."""
        return self._fit.scale * self._fit.noise

    def _level(self, fidelity: float) -> float:
        return float(self._fit.levels[np.argmin(np.abs(self._known - fidelity))])

    def _across(self, weights: Floats, fidelity: float) -> Floats:
        shared = kernel(weights**POWER, self._points, self._fit.length)
        found: Floats = shared * (1 + self._fit.bias * (1 - fidelity) * (1 - self._fidelities))
        return found

    def _covariance(self, length: float, bias: float) -> Floats:
        away = 1 - self._fidelities
        found: Floats = kernel(self._points, self._points, length) * (1 + bias * np.outer(away, away))
        return found


def _likeliest(covariance: Floats, levels: Floats, losses: Floats, length: float, bias: float) -> _Fit:
    """Of all noises the likeliest, levels and scale in closed form."""
    values, directions = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    turned, columns = directions.T @ losses, directions.T @ levels
    best: _Fit | None = None
    for noise in NOISES:
        noisy = values + noise
        weighted = columns / noisy[:, None]
        found = np.linalg.solve(columns.T @ weighted, weighted.T @ turned)
        rest = turned - columns @ found
        scale = max(float((rest**2 / noisy).mean()), 1e-12)
        likelihood = -len(losses) / 2 * float(np.log(scale)) - 0.5 * float(np.log(noisy).sum())
        if best is None or likelihood > best.likelihood:
            dual = directions @ (rest / noisy)
            inverse = (directions / noisy) @ directions.T
            best = _Fit(float(length), float(bias), float(noise), scale, found, inverse, dual, likelihood)
    assert best is not None
    return best
