"""The log-linear law of mixtures: loss = floor + exp(level + slopes . weights).

Data Mixing Laws (2403.16952) fit it to a mean loss, Olmix (2602.12237) to every task apart. Both search parameters
from thousands of random starts; here the floor and a penalty on the slopes' differences are points of a grid, and
given them the rest is a generalised linear model with a logarithmic link, whose steps are weighted least squares
(McCullagh and Nelder 1989, section 2.5). Of the grid the point is taken whose rows, left out, are predicted best.
The law is convex in the weights, which `mixer/strategies/olmix.py` builds on.
"""

import math
from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted, Prediction

FLOORS = np.geomspace(0.03, 30.0, 7)  # how far the floor lies under the lowest loss, in units of the losses' range
PENALTIES = np.geomspace(1e-7, 1.0, 8)  # in units of the largest eigenvalue of the weights' covariance
FINER = np.geomspace(0.4, 2.5, 9)  # the best floor again, at these multiples of its distance
STEPS = 12


@dataclass(frozen=True, slots=True)
class LogLinear:
    """The law above."""

    name: str = "loglinear"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        return FittedLogLinear(weights, losses)


@dataclass(frozen=True, slots=True)
class Law:
    """loss = floor + exp(slopes . weights); the level is in the slopes, since weights sum to 1."""

    floor: float
    slopes: Floats  # (buckets,)
    error: float  # root mean square of rows left out

    def at(self, weights: Floats) -> Floats:
        values: Floats = self.floor + np.exp(np.minimum(weights @ self.slopes, 700.0))
        return values


class FittedLogLinear:
    """A fitted law; its spread is the error of rows left out."""

    def __init__(self, weights: Floats, losses: Floats) -> None:
        self.law = fitted_law(weights, losses)
        below = float(losses.min()) - self.law.floor
        self.note = f"log-linear: {len(losses)} runs, floor {below:.2g} under the lowest loss"

    def mean(self, weights: Floats) -> Floats:
        return self.law.at(weights)

    def predict(self, weights: Floats) -> Prediction:
        return Prediction(self.mean(weights), np.full(len(weights), self.law.error))


def fitted_law(weights: Floats, losses: Floats) -> Law:
    """The law of the grid's point under which rows left out are predicted best."""
    lowest, spread = float(losses.min()), float(np.ptp(losses))
    if spread <= 1e-12 * max(1.0, abs(lowest)):
        return Law(lowest - 1.0, np.zeros(weights.shape[1]), 0.0)
    centre = weights.mean(axis=0)
    _, values, right = np.linalg.svd(weights - centre, full_matrices=False)
    known = values > 1e-9 * values.max(initial=1e-300)
    directions = right[known].T  # (buckets, directions) along which the trials differ
    points = (weights - centre) @ directions
    strongest = float(values.max() ** 2)

    def best(unders: Floats, penalties: Floats) -> tuple[float, float, tuple[float, float, Floats, float]]:
        """The distance under the lowest loss, the penalty and the law of the smallest error."""
        laws = [
            (float(under), float(penalty), _law(points, losses, lowest - under * spread, penalty * strongest))
            for under in unders
            for penalty in penalties
        ]
        return min(laws, key=lambda law: law[2][3])

    under, penalty, _ = best(FLOORS, PENALTIES)
    _, _, (floor, level, slopes, error) = best(under * FINER, np.array([penalty]))
    turned = directions @ slopes
    return Law(floor, turned + (level - float(centre @ turned)), error)


def _law(points: Floats, losses: Floats, floor: float, penalty: float) -> tuple[float, float, Floats, float]:
    """Floor, level, slopes along the directions and the error of rows left out."""
    above = losses - floor
    design = np.column_stack([np.ones(len(points)), points])
    # The penalty weighs against squared losses: in the units of the squared mean it means the same for all floors.
    ridge = np.diag([0.0] + [penalty * float(above.mean()) ** 2] * points.shape[1])
    slopes = np.zeros(design.shape[1])
    slopes[0] = math.log(float(above.mean()))
    cost = math.inf
    for _ in range(STEPS):
        means = np.exp(design @ slopes)
        weighted = design * means[:, None]
        normal = weighted.T @ weighted + ridge
        step = np.linalg.solve(normal, weighted.T @ (above - means) - ridge @ slopes)
        slopes, cost, moved = _shortened(design, above, ridge, slopes, step, cost)
        if not moved:
            break
    means = np.exp(design @ slopes)
    weighted = design * means[:, None]
    leverage = (weighted * np.linalg.solve(weighted.T @ weighted + ridge, weighted.T).T).sum(axis=1)
    errors = (above - means) / np.maximum(1 - leverage, 1e-6)
    return floor, float(slopes[0]), slopes[1:], float(np.sqrt((errors**2).mean()))


def _shortened(
    design: Floats, above: Floats, ridge: Floats, slopes: Floats, step: Floats, cost: float
) -> tuple[Floats, float, bool]:
    """The step, halved until it lowers the cost; whether anything still moved."""
    if not math.isfinite(cost):
        cost = _cost(design, above, ridge, slopes)
    for _ in range(12):
        new = slopes + step
        now = _cost(design, above, ridge, new)
        if now < cost:
            return new, now, cost - now > 1e-9 * cost
        step = step / 2
    return slopes, cost, False


def _cost(design: Floats, above: Floats, ridge: Floats, slopes: Floats) -> float:
    means = np.exp(np.minimum(design @ slopes, 350.0))
    return float(((above - means) ** 2).sum() + slopes @ ridge @ slopes)
