"""Planted problems for strategies that fit a law to each task: every topic is one, weighed as the target needs it.

A log-linear law of the weighted mean alone is lowest in a corner, wherever the best mixture lies. Olmix and Data Mixing
Laws are made for laws per task; a trial's noise is shared out so that the mean has as much of it as elsewhere.
"""

import numpy as np
from landscapes import FLOOR, HEIGHT, POWER, Landscape
from simulation import rounds_of

from mixer.candidates import Space, start
from mixer.strategies.choice import strategy
from mixer.strategy import History, Problem

LAWS = ("olmix", "mixing-laws")


def by_topic(name: str, landscape: Landscape, trials: int, seed: int) -> float:
    """Regret in nats of one search that sees the loss of each topic; of strategies that ask for all trials at once."""
    (num,) = rounds_of(trials, name)
    space = Space.of(
        [int(count) for count in landscape.tokens], budget_tokens=int(landscape.tokens.sum()), max_epochs=100
    )
    needed = np.flatnonzero(landscape.needs)
    names = tuple(f"topic/{topic}" for topic in needed)
    rows = start(space, num, seed=seed)
    made = strategy(
        name,
        Problem(space=space, start=rows, pool=rows, seed=seed, tasks=names, weights=tuple(landscape.needs[needed])),
    )
    rows = made.propose(History.empty(landscape.num_buckets), num)
    losses = measured(landscape, rows, seed)[:, needed]
    history = History(
        rows, losses @ landscape.needs[needed], np.ones(num, np.int64), dict(zip(names, losses.T, strict=True))
    )
    return landscape.regret(made.recommend(history))


def measured(landscape: Landscape, rows: np.ndarray, seed: int) -> np.ndarray:
    """(rows, topics) losses with noise; their mean by the target's needs is the landscape's, with its noise."""
    clean = FLOOR + HEIGHT * (rows @ landscape.topics + landscape.offset) ** -POWER
    noise = landscape.noise / np.sqrt((landscape.needs**2).sum())
    drawn: np.ndarray = clean + noise * np.random.default_rng([seed, len(rows)]).standard_normal(clean.shape)
    return drawn
