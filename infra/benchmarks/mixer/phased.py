"""Problems of several phases whose best schedule is known, and searches of them.

As in landscapes.py the target needs some of each topic, every bucket is a topic, and each topic's loss falls as a power
of how much of it is known: of what was read of it, by when. A topic keeps `kept` of what a phase taught for each phase
that follows. Losses are convex in the weights and caps linear, so the best schedule and the best static mixture are
found by a general solver. `recent`: all topics alike, no caps: no schedule beats the best static mixture. `scarce`:
the same with caps, so that what counts most is left to the last phase. `fading`: three topics fade, and are read late.
"""

from dataclasses import dataclass, field

import numpy as np
from landscapes import FLOOR, HEIGHT, POWER
from simulation import rounds_of, searched

from mixer import candidates, phases
from mixer.candidates import Floats, Space
from mixer.strategies.choice import strategy
from mixer.strategies.phasing import Phasing
from mixer.strategy import History, Problem, Strategy, Target

OFFSET = 0.01
POOL = 5000
AS_AUTO = ("annealing", "remixing")  # which go by the rounds of `auto`


@dataclass(frozen=True, eq=False)
class Phased:
    """`needs`, `kept` (buckets,); `shares`: of the tokens, by phase; `noise`: std of a trial."""

    name: str
    needs: np.ndarray
    kept: np.ndarray
    space: Space
    shares: tuple[float, ...] = (0.8, 0.2)
    noise: float = 0.01
    best: Floats = field(init=False)  # (phases * buckets,)
    best_static: Floats = field(init=False)  # the same in every phase

    def __post_init__(self) -> None:
        object.__setattr__(self, "best", _best(self, static=False))
        object.__setattr__(self, "best_static", _best(self, static=True))

    def losses(self, rows: np.ndarray) -> np.ndarray:
        """(rows,) of (rows, phases * buckets) weights, without noise."""
        later = np.arange(len(self.shares))[::-1, None]
        taught = np.asarray(self.shares)[:, None] * self.kept**later
        known = (phases.parts_of(np.atleast_2d(rows), len(self.shares)) * taught).sum(axis=1)
        return FLOOR + HEIGHT * ((known + OFFSET) ** -POWER) @ self.needs

    def measured(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """With the noise of trials, drawn for the rows in this order."""
        return self.losses(rows) + self.noise * np.random.default_rng([seed, len(rows)]).standard_normal(len(rows))

    def regret(self, row: np.ndarray) -> float:
        """How far a schedule is from the best there is, in nats."""
        return float(self.losses(row)[0] - self.losses(self.best)[0])


def all_phased() -> dict[str, Phased]:
    """Every such problem by name."""
    needs = np.array([0.5, 0.25, 0.15, 0.04, 0.02, 0.02, 0.01, 0.01])
    tokens = [10, 40, 5, 80, 60, 20, 30, 50]
    free, tight = (Space.of(tokens, budget_tokens=sum(tokens), max_epochs=epochs) for epochs in (100, 4))
    alike, fading = np.full(8, 0.3), np.array([0.1, 1, 1, 0.1, 1, 1, 0.1, 1])
    made = [
        Phased("recent", needs, alike, free),
        Phased("scarce", needs, alike, tight),
        Phased("fading", needs, fading, free),
    ]
    return {problem.name: problem for problem in made}


def on_phased(
    name: str, problem: Phased, trials: int, seed: int, early: str = "natural", num: int = POOL
) -> tuple[float, History, Strategy]:
    """Regret in nats of one search over schedules, and what it saw."""
    rounds = rounds_of(trials, "auto" if name in AS_AUTO else name)
    target = Target.of_counts(problem.needs)
    phasing = Phasing(problem.shares, len(rounds), early)
    start, pool = phasing.drawn(name, problem.space, target, trials, num, 1.0, seed)
    made = phasing.strategy(name, Problem(problem.space, start, pool, seed, target))
    found, history = searched(made, lambda rows: problem.measured(rows, seed), rounds, len(problem.best))
    return problem.regret(found), history, made


def on_one_phase(name: str, problem: Phased, trials: int, seed: int, num: int = POOL) -> float:
    """Regret in nats of a search for the one mixture of all phases."""
    space, target = problem.space, Target.of_counts(problem.needs)
    rows = candidates.start(space, trials, seed=seed), candidates.pool(space, num, concentration=1.0, seed=seed)

    def measure(mixtures: np.ndarray) -> np.ndarray:
        return problem.measured(phases.static(mixtures, len(problem.shares)), seed)

    made = strategy(name, Problem(space, *rows, seed, target))
    found, _ = searched(made, measure, rounds_of(trials, name), len(problem.needs))
    return problem.regret(np.tile(found, len(problem.shares)))


def _best(problem: Phased, *, static: bool) -> Floats:
    """By sequential quadratic programming from the natural shares."""
    from scipy.optimize import minimize

    num = len(problem.shares)
    parts = 1 if static else num

    def row_of(weights: np.ndarray) -> np.ndarray:
        return np.tile(weights, num // parts)

    wholes = [{"type": "eq", "fun": lambda row, at=at: row.reshape(parts, -1)[at].sum() - 1} for at in range(parts)]
    caps = {
        "type": "ineq",
        "fun": lambda row: problem.space.limits - phases.overall(row_of(row)[np.newaxis], problem.shares)[0],
    }
    found = minimize(
        lambda row: float(problem.losses(row_of(row))[0]),
        np.tile(problem.space.shares, parts),
        method="SLSQP",
        bounds=[(0, 1)] * (parts * len(problem.needs)),
        constraints=[*wholes, caps],
        options={"maxiter": 1000, "ftol": 1e-13},
    )
    return row_of(np.clip(found.x, 0, None))
