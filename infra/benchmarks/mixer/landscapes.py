"""Losses of mixtures whose best one is known, for searches that nothing has to be trained for. Knows nothing of mixer.

A landscape is made of topics: the target needs some of each, a bucket holds shares of them, and each topic's loss falls
as a power of how much of it was read. Where every bucket is one topic the best mixture is a matter of filling up to
one level; where buckets are blends it is found by a general solver; where all hold the same there is none.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

POWER = 0.4
HEIGHT = 0.3
FLOOR = 3.0


@dataclass(frozen=True, eq=False)
class Landscape:
    """`needs` (topics,) of the target; `topics` (buckets, topics): what a bucket holds; `noise`: std of a trial."""

    name: str
    needs: np.ndarray
    topics: np.ndarray
    tokens: np.ndarray
    noise: float = 0.01
    phases: tuple[int, ...] = (1,)  # tokens of each; rows then hold the weights of all, one after the other
    offset: float = 0.01  # what the model knows of a topic without reading any; more of it bends the losses less
    recency: float = 1.0  # what a token of one phase is worth where another phase follows
    best: np.ndarray = field(init=False)  # (phases * buckets,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "best", _best(self))

    @property
    def num_buckets(self) -> int:
        return len(self.topics)

    @property
    def flat(self) -> bool:
        return bool(np.ptp(self.topics, axis=0).max() == 0)

    def losses(self, rows: np.ndarray) -> np.ndarray:
        """(rows,) of (rows, phases * buckets) weights, without noise."""
        lengths = np.asarray(self.phases, float)
        worth = lengths * self.recency ** np.arange(len(lengths))[::-1]
        read = np.atleast_2d(rows).reshape(-1, len(lengths), self.num_buckets)
        known = np.einsum("rpb,p,bt->rt", read, worth / worth.sum(), self.topics)
        return FLOOR + HEIGHT * ((known + self.offset) ** -POWER) @ self.needs

    def measured(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """With the noise of trials, drawn for the rows in this order."""
        return self.losses(rows) + self.noise * np.random.default_rng([seed, len(rows)]).standard_normal(len(rows))

    def regret(self, row: np.ndarray) -> float:
        """How far a mixture is from the best there is, in nats."""
        return float(self.losses(row)[0] - self.losses(self.best)[0])


def all_landscapes() -> dict[str, Landscape]:
    """Every landscape by name."""
    eight = np.array([0.5, 0.25, 0.15, 0.04, 0.02, 0.02, 0.01, 0.01])
    tokens = np.array([10, 40, 5, 80, 60, 20, 30, 50]) * 1e6
    blends = np.random.default_rng(5).dirichlet(np.full(8, 0.4), 16)
    made = [
        Landscape("simple", np.r_[0.6, 0.4, np.zeros(6)], np.eye(8), np.full(8, 1e7), offset=0.15),
        Landscape("peaked", eight, np.eye(8), tokens),
        Landscape("narrow", np.r_[0.7, 0.3, np.zeros(14)], np.eye(16), np.tile(tokens, 2)),
        Landscape("blended", eight, blends, np.tile(tokens, 2)),
        Landscape("noisy", eight, np.eye(8), tokens, noise=0.1),
        Landscape("flat", eight, np.tile(eight, (8, 1)), tokens),
        Landscape("two-phase", eight, np.eye(8), tokens, phases=(7, 3), recency=0.3),
    ]
    return {landscape.name: landscape for landscape in made}


def filled(needs: np.ndarray, offset: float) -> np.ndarray:
    """The exact best shares of pure topics: w + offset is as needs ** (1 / (1 + power)), none under zero."""
    wanted = needs ** (1 / (1 + POWER))
    used = wanted > 0
    while True:
        level = (1 + offset * used.sum()) / wanted[used].sum()
        shares = np.where(used, wanted * level - offset, 0.0)
        if (shares >= 0).all():
            return shares
        used &= shares > 0


def _best(landscape: Landscape) -> np.ndarray:
    """Static: what is read when cannot matter to the best, where all that counts is the sum over phases."""
    if np.array_equal(landscape.topics, np.eye(landscape.num_buckets)):
        return np.tile(filled(landscape.needs, landscape.offset), len(landscape.phases))
    from scipy.optimize import minimize

    num = landscape.num_buckets
    loss: Callable[[np.ndarray], float] = lambda row: float(landscape.losses(row)[0])  # noqa: E731
    found = minimize(
        loss,
        np.full(num, 1 / num),
        method="SLSQP",
        bounds=[(0, 1)] * num,
        constraints={"type": "eq", "fun": lambda row: row.sum() - 1},
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    shares = np.clip(found.x, 0, None)
    return shares / shares.sum()
