"""A process over mixtures and the fidelity of trials: what cheap proxies say about what dear ones would measure.

A trial's loss is the target fidelity's loss, plus what its own fidelity does to it: a level, and a bias that bends
with the mixture and grows with the distance to the target, (1 - s)(1 - s') of the covariance, as in the kernel that
ADMIRE (2508.11551) takes from BoTorch. For the rest it is the process of mixer/predictors/kriging.py on square roots: a
line and what bends away from it, relevances of buckets, chosen by marginal likelihood (fourth roots beside them cost
twice the time and end no nearer to the best, over planted problems and RegMix's tables). How large the bias is beside
the loss itself decides what cheap trials are worth, and a few dear ones hardly tell it, so it is not chosen: processes
of several sizes are averaged by likelihood. Each fidelity's level is found by generalised least squares.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Prediction
from mixer.predictors.kriging import BLOCK_ROWS, MIN_SCALE, SLOPE, kernel, relevances

TARGET = 1.0
LENGTHS = np.geomspace(0.1, 10.0, 9)
NOISES = np.geomspace(1e-4, 100.0, 13)
# Variance of the bias of a trial that costs nothing, in units of the loss's own: its losses correlate with the target's
# by 0.98 to 0.3.
BIASES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
POWER = 0.5


@dataclass(frozen=True, slots=True)
class Runs:
    """Trials of one power: bent weights (runs, buckets), fidelities, losses, and which level each has, one-hot."""

    points: Floats
    fidelities: Floats
    losses: Floats
    levels: Floats

    @classmethod
    def of(cls, points: Floats, fidelities: Floats, losses: Floats) -> "Runs":
        return cls(points, fidelities, losses, (fidelities[:, None] == np.unique(fidelities)).astype(np.float64))

    def covariance(self, length: float, bias: float, relevances: Floats | float = 1.0) -> Floats:
        points = self.points * relevances
        found: Floats = kernel(points, points, length) * between(self.fidelities, self.fidelities, bias)
        return found


@dataclass(frozen=True, slots=True)
class Process:
    """A bias with its noise, and the levels and scale under which the losses are likeliest.

    `directions` and `values` are the eigenvectors and eigenvalues of covariance + noise.
    """

    bias: float
    noise: float
    scale: float  # variance
    levels: Floats
    directions: Floats
    values: Floats
    dual: Floats
    likelihood: float


class FittedFidelities:
    """Fitted to weights (runs, buckets), fidelities (runs,) in (0, 1], 1 for the target's, and losses (runs,).

    What it predicts is the target's loss. `noise`: variance of one trial's.
    """

    def __init__(self, weights: Floats, fidelities: Floats, losses: Floats) -> None:
        runs = Runs.of(weights**POWER, fidelities, losses)
        biases = BIASES if fidelities.min() < TARGET else BIASES[:1]
        length, process = _of_best_length(runs, biases[len(biases) // 2])
        if len(biases) > 1:
            process = max((likeliest(runs, length, bias) for bias in biases), key=lambda one: one.likelihood)
        self.relevances = relevances(weights.shape[1], lambda tried: _likelihood(runs, length, process, tried))
        self.runs = Runs.of(runs.points * self.relevances, fidelities, losses)
        self.length, process = _of_best_length(self.runs, process.bias)
        processes = [likeliest(self.runs, self.length, bias) for bias in biases]
        best = max(processes, key=lambda one: one.likelihood)
        shares = np.exp([one.likelihood - best.likelihood for one in processes])
        self.shares: Floats = shares / shares.sum()
        self.processes = processes
        self.noise = float(self.shares @ [one.noise * one.scale for one in processes])
        known, counts = np.unique(fidelities, return_counts=True)
        tried = ", ".join(f"{count} at {fidelity:g}" for fidelity, count in zip(known, counts, strict=True))
        bias = f", bias {best.bias:g}" if len(biases) > 1 else ""
        self.note = f"fidelities: {tried} of the tokens, length {self.length:.3g}{bias}, noise {best.noise:.2g}"

    def mean(self, weights: Floats) -> Floats:
        """(rows,) losses expected at the target."""
        return np.concatenate([self.shares @ self._means(self.seen(rows)[1]) for rows in _blocks(weights)])

    def predict(self, weights: Floats) -> Prediction:
        """The same, with one standard deviation of what a trial at the target would measure."""
        means, variances = self.latent(weights)
        return Prediction(means, np.sqrt(variances + self.noise))

    def latent(self, weights: Floats) -> tuple[Floats, Floats]:
        """(rows,) mean and variance of the target's loss, without a trial's noise."""
        found = [self._latent(rows) for rows in _blocks(weights)]
        return np.concatenate([mean for mean, _ in found]), np.concatenate([variance for _, variance in found])

    def seen(self, weights: Floats) -> tuple[Floats, Floats]:
        """(rows, buckets) bent weights, and their (rows, runs) covariances at the target, where no bias counts."""
        points = weights**POWER * self.relevances
        return points, kernel(points, self.runs.points, self.length)

    def _means(self, across: Floats) -> Floats:
        """(processes, rows)."""
        # The level is the target's, or where it was never tried that of the nearest fidelity.
        return np.array([one.levels[-1] + across @ one.dual for one in self.processes])

    def _latent(self, weights: Floats) -> tuple[Floats, Floats]:
        points, across = self.seen(weights)
        before = _before(points)
        explained = [one.scale * (before - (factors(one, across) ** 2).sum(axis=1)) for one in self.processes]
        means = self._means(across)
        mean: Floats = self.shares @ means
        return mean, self.shares @ (np.maximum(explained, 0.0) + (means - mean) ** 2)


class Joint:
    """Covariances of mixtures (rows, buckets) at fidelities, without a trial's noise, of what is fitted.

    The matrix of all pairs is never made: `with_all` is one row of it.
    """

    def __init__(self, fitted: FittedFidelities, weights: Floats, fidelities: Sequence[float]) -> None:
        self._fitted, self._fidelities = fitted, np.asarray(fidelities, np.float64)
        self._points, across = fitted.seen(weights)
        self._factors = []  # of each process (fidelities, rows, runs)
        for one in fitted.processes:
            rates = between(self._fidelities, fitted.runs.fidelities, one.bias)
            self._factors.append(factors(one, across * rates[:, None, :]))

    def with_target(self) -> tuple[Floats, Floats]:
        """(fidelities, rows) variances, and covariances with the same mixture's loss at the last fidelity."""
        before = _before(self._points)
        own, shared = np.zeros((2, len(self._fidelities), len(before)))
        for share, one, factor in self._every():
            rates = between(self._fidelities, self._fidelities, one.bias)
            own += share * (np.diag(rates)[:, None] * before - (factor**2).sum(axis=2))
            shared += share * (rates[:, -1:] * before - (factor * factor[-1]).sum(axis=2))
        return own, shared

    def with_all(self, at: int, row: int) -> Floats:
        """(fidelities, rows) covariances with the mixture of one row at one fidelity."""
        before = kernel(self._points[row : row + 1], self._points, self._fitted.length)
        found = np.zeros((len(self._fidelities), before.shape[1]))
        for share, one, factor in self._every():
            rates = between(self._fidelities, self._fidelities[at : at + 1], one.bias)
            found += share * (rates * before - factor @ factor[at, row])
        return found

    def _every(self) -> Iterator[tuple[float, Process, Floats]]:
        """Each process's share in variances, itself, and its factors."""
        for share, one, factor in zip(self._fitted.shares, self._fitted.processes, self._factors, strict=True):
            yield share * one.scale, one, factor


def between(fidelities: Floats, others: Floats, bias: float) -> Floats:
    """(fidelities, others) by which the covariance of mixtures is multiplied."""
    found: Floats = 1 + bias * np.outer(1 - fidelities, 1 - others)
    return found


def likeliest(runs: Runs, length: float, bias: float) -> Process:
    """Of all noises the likeliest, levels and scale in closed form."""
    values, directions = np.linalg.eigh(runs.covariance(length, bias))
    values = np.maximum(values, 0.0)
    turned, columns = directions.T @ runs.losses, directions.T @ runs.levels
    best: Process | None = None
    for noise in NOISES:
        noisy = values + noise
        weighted = columns / noisy[:, None]
        levels = np.linalg.solve(columns.T @ weighted, weighted.T @ turned)
        rest = turned - columns @ levels
        scale = max(float((rest**2 / noisy).mean()), MIN_SCALE)
        likelihood = -len(turned) / 2 * math.log(scale) - 0.5 * float(np.log(noisy).sum())
        if best is None or likelihood > best.likelihood:
            best = Process(
                bias, float(noise), scale, levels, directions, noisy, directions @ (rest / noisy), likelihood
            )
    assert best is not None
    return best


def _likelihood(runs: Runs, length: float, process: Process, relevances: Floats) -> float:
    """Of the losses, at the process's bias and noise and the likeliest levels and scale."""
    num, num_levels = runs.levels.shape
    noisy = runs.covariance(length, process.bias, relevances) + process.noise * np.eye(num)
    factor = np.linalg.cholesky(noisy)
    turned = np.linalg.solve(factor, np.column_stack([runs.losses, runs.levels]))
    losses, columns = turned[:, 0], turned[:, 1 : 1 + num_levels]
    rest = losses - columns @ np.linalg.solve(columns.T @ columns, columns.T @ losses)
    scale = max(float(rest @ rest) / num, MIN_SCALE)
    found: float = -num / 2 * math.log(scale) - float(np.log(np.diag(factor)).sum())
    return found


def _of_best_length(runs: Runs, bias: float) -> tuple[float, Process]:
    fits = {float(length): likeliest(runs, float(length), bias) for length in LENGTHS}
    best = max(fits, key=lambda length: fits[length].likelihood)
    return best, fits[best]


def factors(process: Process, across: Floats) -> Floats:
    """(rows, runs) factors of what the runs explain of the rows."""
    found: Floats = (across @ process.directions) / np.sqrt(process.values)
    return found


def _before(points: Floats) -> Floats:
    """(rows,) variances before any run."""
    found: Floats = 1.0 + SLOPE * (points**2).sum(axis=1)
    return found


def _blocks(weights: Floats) -> list[Floats]:
    return [weights[start : start + BLOCK_ROWS] for start in range(0, max(len(weights), 1), BLOCK_ROWS)]
