"""Planted problems of two phases: what is said to be best is, and a search of two phases passes every static one."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infra" / "benchmarks" / "mixer"))
from phased import all_phased, on_one_phase, on_phased

from mixer import phases

PROBLEMS = all_phased()


@pytest.mark.parametrize("name", PROBLEMS)
def test_no_schedule_and_no_static_mixture_is_better_than_the_best(name):
    problem = PROBLEMS[name]
    random = np.random.default_rng(0)
    for best, tile in ((problem.best, 1), (problem.best_static, len(problem.shares))):
        assert (phases.overall(best[np.newaxis], problem.shares) <= problem.space.limits + 1e-9).all()
        part = best[: len(best) // tile].reshape(1, -1, 8)
        near = np.abs(part + 0.02 * random.standard_normal((4000, *part.shape[1:])))
        near = np.tile((near / near.sum(axis=2, keepdims=True)).reshape(4000, -1), tile)
        inside = (phases.overall(near, problem.shares) <= problem.space.limits + 1e-12).all(axis=1)
        if tile == 1:
            near, inside = phases.within(near, problem.shares, problem.space.limits), np.ones(4000, bool)
        if inside.any():
            assert problem.losses(near[inside]).min() >= problem.losses(best)[0] - 1e-7
    gap = problem.regret(problem.best_static)
    assert gap == pytest.approx(0, abs=1e-6) if name == "recent" else gap > 5 * problem.noise


def test_a_search_of_two_phases_passes_the_best_static_mixture_where_a_bucket_is_scarce():
    problem = PROBLEMS["scarce"]
    static = problem.regret(problem.best_static)
    found = {name: on_phased(name, problem, 32, 0, num=1000)[0] for name in ("auto", "annealing")}
    assert found["auto"] < static / 4
    assert found["annealing"] < static
    assert on_one_phase("auto", problem, 32, 0, num=1000) > static


def test_a_search_of_two_phases_loses_nothing_where_one_mixture_is_best():
    assert on_phased("auto", PROBLEMS["recent"], 32, 0, num=1000)[0] < 2 * PROBLEMS["recent"].noise
