"""A Gaussian process on roots of the weights: what few trials say about mixtures near and far from them.

Roots, because a cluster's first percent changes a loss more than its tenth: the second where one target is served,
the fourth where the mean of many is, in which every cluster left out costs dearly. Which of the two, the trials say:
processes on both are averaged by likelihood. A line, since with a dozen trials the trend is all there is to learn,
and a Matern-5/2 kernel for what bends away from it. Length and noise are chosen on a grid by marginal likelihood
with mean and scale in closed form (Rasmussen and Williams 2006, section 5.4), so the same trials give the same fit.
One eigendecomposition of a length's covariance serves all its noises.

Buckets do not matter alike: one text may hang on a single one of them. Starting from all alike, a bucket's distances
count twice as much wherever that makes the trials likelier by more than a parameter is worth (automatic relevance,
section 5.1, by coordinates, so that it stays the same fit everywhere).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted, Prediction

POWERS = (0.25, 0.5)
LENGTHS = np.geomspace(
    0.1, 10.0, 13
)  # distances of square-rooted mixtures are at most sqrt(2), of fourth roots hardly more
SLOPE = 10.0  # variance of the line, in units of the bends'; 0 and 1 rank worse at 12-21 runs of the RegMix table
NOISES = np.geomspace(1e-4, 100.0, 13)  # variance of a trial's noise, in the same units; large where nothing differs
PASSES = 2  # over the buckets' relevances
# Of log likelihood, which one more parameter must bring; 1 sees more in noise (35 trials of a planted problem with
# noise, 8 seeds: 3 recommendations behind the best rule, none at 2), and ranks public tables hardly better.
WORTH = 2.0
BLOCK_ROWS = 1024  # candidates whose covariances are made at once: few enough to stay in the caches
MIN_SCALE = 1e-12  # where all losses are equal


@dataclass(frozen=True, slots=True)
class Kriging:
    """The process above; the better predictor where runs are few."""

    name: str = "kriging"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        return FittedKriging(weights, losses)


@dataclass(frozen=True, slots=True)
class Process:
    """A covariance with its noise, and the level and scale under which the losses are likeliest.

    `directions` and `values` are the eigenvectors and eigenvalues of covariance + noise.
    """

    noise: float
    level: float
    scale: float  # variance
    directions: Floats
    values: Floats
    dual: Floats
    likelihood: float

    def left(self, across: Floats) -> Floats:
        """(rows, runs) covariances with the runs to what the runs explain of the rows: (rows, runs) factors."""
        factors: Floats = (across @ self.directions) / np.sqrt(self.values)
        return factors


def likeliest(covariance: Floats, losses: Floats, noises: Floats = NOISES) -> Process:
    """Of all noises the one under which the losses are most likely; level and variance in closed form."""
    values, directions = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    turned, ones = directions.T @ losses, directions.sum(axis=0)
    noisy = values + noises[:, None]  # (noises, runs)
    levels = (turned * ones / noisy).sum(axis=1) / (ones**2 / noisy).sum(axis=1)
    rest = turned - levels[:, None] * ones
    scales = np.maximum((rest**2 / noisy).mean(axis=1), MIN_SCALE)
    likelihoods = -len(losses) / 2 * np.log(scales) - 0.5 * np.log(noisy).sum(axis=1)
    best = int(np.argmax(likelihoods))
    return Process(
        noise=float(noises[best]),
        level=float(levels[best]),
        scale=float(scales[best]),
        directions=directions,
        values=noisy[best],
        dual=directions @ (rest[best] / noisy[best]),
        likelihood=float(likelihoods[best]),
    )


class Bent:
    """The likeliest process on weights raised to one power, each bucket times its relevance."""

    def __init__(self, weights: Floats, losses: Floats, power: float, passes: int = PASSES) -> None:
        self.power, self.relevances = power, np.ones(weights.shape[1])
        self.length, self.process = _of_best_length(self._bent(weights), losses)
        if passes:
            noise = self.process.noise
            points = self._bent(weights)
            self.relevances = relevances(
                points.shape[1], lambda tried: _likelihood(points * tried, losses, self.length, noise), passes
            )
            self.length, self.process = _of_best_length(self._bent(weights), losses)
        self._points = self._bent(weights)

    def _bent(self, weights: Floats) -> Floats:
        points: Floats = weights**self.power * self.relevances
        return points

    def mean(self, weights: Floats) -> Floats:
        predicted: Floats = self.process.level + self._across(self._bent(weights)) @ self.process.dual
        return predicted

    def moments(self, weights: Floats) -> tuple[Floats, Floats]:
        """(rows,) mean and variance of the loss, without a trial's noise."""
        points = self._bent(weights)
        across = self._across(points)
        before = 1.0 + SLOPE * (points**2).sum(axis=1)
        left = before - (self.process.left(across) ** 2).sum(axis=1)
        return self.process.level + across @ self.process.dual, self.process.scale * np.maximum(left, 0.0)

    def covariance(self, weights: Floats) -> Floats:
        """(rows, rows) of the losses, without a trial's noise."""
        points = self._bent(weights)
        factors = self.process.left(self._across(points))
        known: Floats = self.process.scale * (kernel(points, points, self.length) - factors @ factors.T)
        return known

    @property
    def noise(self) -> float:
        """Variance of one trial's loss."""
        return self.process.scale * self.process.noise

    def _across(self, points: Floats) -> Floats:
        return kernel(points, self._points, self.length)


def relevances(num: int, likelihood: Callable[[Floats], float], passes: int = PASSES) -> Floats:
    """(num,) powers of two by which the buckets' distances count, each where it makes the runs likelier by WORTH."""
    found = np.ones(num)
    now = likelihood(found)
    for _ in range(passes):
        before = found.copy()
        for bucket in range(num):
            tried = found.copy()
            tried[bucket] *= 2
            then = likelihood(tried)
            if then > now + WORTH:
                found, now = tried, then
        if np.array_equal(found, before):
            break
    return found


def _likelihood(points: Floats, losses: Floats, length: float, noise: float) -> float:
    """Of the losses, at the likeliest level and scale."""
    num = len(losses)
    factor = np.linalg.cholesky(kernel(points, points, length) + noise * np.eye(num))
    turned, ones = np.linalg.solve(factor, np.column_stack([losses, np.ones(num)])).T
    rest = turned - (turned @ ones) / (ones @ ones) * ones
    scale = max(float(rest @ rest) / num, MIN_SCALE)
    return -num / 2 * math.log(scale) - float(np.log(np.diag(factor)).sum())


def _of_best_length(points: Floats, losses: Floats) -> tuple[float, Process]:
    """The length under which the losses are likeliest, and its process."""
    fits = {float(length): likeliest(kernel(points, points, float(length)), losses) for length in LENGTHS}
    best = max(fits, key=lambda length: fits[length].likelihood)
    return best, fits[best]


class FittedKriging:
    """Processes of all powers, each with the share that its likelihood gives it; what they answer is their mixture's.

    `mean`, `predict` and `joint` take (rows, buckets) weights.
    """

    def __init__(self, weights: Floats, losses: Floats) -> None:
        self.parts = [Bent(weights, losses, power) for power in POWERS]
        likelihoods = np.array([part.process.likelihood for part in self.parts])
        shares = np.exp(likelihoods - likelihoods.max())
        self.shares: Floats = shares / shares.sum()
        likeliest_one = self.parts[int(np.argmax(shares))]
        self.note = (
            f"kriging: {len(losses)} runs, power {likeliest_one.power:g}, length {likeliest_one.length:.3g},"
            f" noise {likeliest_one.process.noise:.2g}"
        )

    def mean(self, weights: Floats) -> Floats:
        return np.concatenate([self.shares @ self._means(rows) for rows in _blocks(weights)])

    def predict(self, weights: Floats) -> Prediction:
        found = [self._moments(rows) for rows in _blocks(weights)]
        return Prediction(np.concatenate([mean for mean, _ in found]), np.concatenate([spread for _, spread in found]))

    def joint(self, weights: Floats) -> tuple[Floats, Floats]:
        """(rows,) means and the (rows, rows) covariance of what the losses are without a trial's noise."""
        means = self._means(weights)
        mean: Floats = self.shares @ means
        apart = means - mean
        covariance = (apart * self.shares[:, None]).T @ apart
        for share, part in zip(self.shares, self.parts, strict=True):
            covariance += share * part.covariance(weights)
        return mean, covariance

    @property
    def noise(self) -> float:
        """Variance of one trial's loss."""
        return float(self.shares @ [part.noise for part in self.parts])

    def _means(self, weights: Floats) -> Floats:
        return np.array([part.mean(weights) for part in self.parts])

    def _moments(self, weights: Floats) -> tuple[Floats, Floats]:
        """Mean, and one standard deviation of what a trial would measure."""
        found = [part.moments(weights) for part in self.parts]
        means, variances = (np.array(told) for told in zip(*found, strict=True))
        mean: Floats = self.shares @ means
        return mean, np.sqrt(self.shares @ (variances + (means - mean) ** 2) + self.noise)


def _blocks(weights: Floats) -> list[Floats]:
    return [weights[start : start + BLOCK_ROWS] for start in range(0, max(len(weights), 1), BLOCK_ROWS)]


def kernel(left: Floats, right: Floats, length: float) -> Floats:
    """Covariance of all pairs of rows of bent weights: the line's and Matern-5/2's."""
    # In place: over a pool of candidates the arrays are larger than the caches, and passes are what it costs.
    inner = left @ right.T
    scaled = inner * -2
    scaled += (left**2).sum(axis=1)[:, None]
    scaled += (right**2).sum(axis=1)
    np.sqrt(np.maximum(scaled, 0.0, out=scaled), out=scaled)
    scaled *= math.sqrt(5) / length
    covariance: Floats = scaled / 3
    covariance += 1
    covariance *= scaled
    covariance += 1
    np.negative(scaled, out=scaled)
    covariance *= np.exp(scaled, out=scaled)
    inner *= SLOPE
    covariance += inner
    return covariance
