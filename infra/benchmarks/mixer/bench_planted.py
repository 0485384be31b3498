"""Searches over landscapes whose best mixture is known: how far from it each strategy ends, in nats."""

from collections.abc import Iterator

import numpy as np
from cells import Bench, Row
from landscapes import Landscape, all_landscapes
from simulation import on_landscape

from mixer.predictors.validation import cross_validated
from mixer.strategies.choice import RULES, STRATEGIES

TRIALS = (35, 112)


def measure(bench: Bench) -> Iterator[Row]:
    for landscape in all_landscapes().values():
        if len(landscape.phases) > 1:
            continue  # a search of phases is a test; strategies here propose static mixtures
        for trials in TRIALS:
            for name in (*STRATEGIES, *(RULES if trials == TRIALS[0] else ())):
                yield _row(bench, landscape, name, trials)


def _row(bench: Bench, landscape: Landscape, name: str, trials: int) -> Row:
    def one(seed: int) -> dict[str, float | None]:
        regret, history, made = on_landscape(name, landscape, trials, seed)
        if made.fit(history) is None:
            return {"regret": regret, "better_than_chance": None}
        told = cross_validated(lambda rows: made.fit(history.take(rows)), history.weights, history.losses, repeats=1)
        return {"regret": regret, "better_than_chance": float(told.better_than_chance)}

    cells = bench.over_seeds(f"planted/{landscape.name}/{name}/{trials}", one)
    uniform = landscape.regret(np.full(landscape.num_buckets, 1 / landscape.num_buckets))
    regrets = [cell["regret"] for cell in cells]
    notes: dict[str, object] = {"uniform": round(uniform, 4), "flat": landscape.flat}
    if not landscape.flat:
        notes["beats_uniform"] = sum(regret < uniform for regret in regrets) / len(regrets)
    known = [cell["better_than_chance"] for cell in cells if cell["better_than_chance"] is not None]
    if known:
        notes["predictor_better_than_chance"] = sum(known) / len(known)
    label = f"planted/{landscape.name}/{trials}/{name}"
    return Row.of(label, regrets, "nats from the best", 0 if name in RULES else trials, **notes)
