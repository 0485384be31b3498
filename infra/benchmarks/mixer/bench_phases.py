"""Searches of two phases over problems whose best schedule is known: how far from it each ends, in nats.

Beside them: the search of one mixture for all phases, and what the best such mixture there is would give, which no
search of one mixture can pass. `annealing` has the natural shares before the last phase.
"""

from collections.abc import Iterator

import numpy as np
from cells import Bench, Row
from phased import Phased, all_phased, on_one_phase, on_phased

from mixer.strategies.rules import natural

TRIALS = (32, 64, 112)
NAMES = ("auto", "remixing", "annealing", "climb", "random")
OF_ONE_PHASE = "auto of one phase"
UNIT = "nats from the best"


def measure(bench: Bench) -> Iterator[Row]:
    for problem in all_phased().values():
        static = problem.regret(problem.best_static)
        for trials in TRIALS:
            for name in (*NAMES, OF_ONE_PHASE):
                yield _row(bench, problem, name, trials, static)
        yield Row(f"phases/{problem.name}/best static mixture", static, UNIT, 0, 1)
        regret = problem.regret(np.tile(natural(problem.space), len(problem.shares)))
        yield Row(f"phases/{problem.name}/natural", regret, UNIT, 0, 1)


def _row(bench: Bench, problem: Phased, name: str, trials: int, static: float) -> Row:
    def one(seed: int) -> float:
        if name == OF_ONE_PHASE:
            return on_one_phase("auto", problem, trials, seed)
        return on_phased(name, problem, trials, seed)[0]

    label = f"phases/{problem.name}/{trials}/{name}"
    regrets = bench.over_seeds(label, one, ("phased", "mixer.strategies.phasing", "mixer.strategies.climb"))
    notes = {"beats_best_static": sum(regret < static for regret in regrets) / len(regrets)} if static > 1e-6 else {}
    return Row.of(label, regrets, UNIT, trials, in_noise=round(float(np.mean(regrets)) / problem.noise, 2), **notes)
