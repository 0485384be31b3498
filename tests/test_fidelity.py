"""Trials of several costs: what cheap ones tell of dear ones, which are bought, and that it saves money."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.candidates import Space, pool, start
from mixer.predictors.fidelity import FittedFidelities, Joint, between
from mixer.predictors.kriging import Kriging, kernel
from mixer.predictors.validation import rank_correlation
from mixer.strategies.bayes import improvement
from mixer.strategies.choice import strategy
from mixer.strategies.fidelity import MultiFidelity, chosen, design
from mixer.strategies.reuse import Frozen, Groups
from mixer.strategy import History, Problem, proposed
from pipelines.errors import SettingsError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infra" / "benchmarks" / "mixer"))
from landscapes import Landscape, all_landscapes

SPACE = Space.of((10, 40, 5, 80, 60, 20), budget_tokens=215, max_epochs=8)


def mixtures(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(6), num)


def smooth(rows: np.ndarray) -> np.ndarray:
    return 2 + np.exp(rows @ np.array([-1.0, -0.6, 0.2, 0.4, 0.0, 0.3]))


def made_history(num: int = 30, num_dear: int = 8, noise: float = 0.01) -> History:
    """Cheap trials, with a level and a bias of their own, and some of the same mixtures at the target."""
    rows = mixtures(num, 4)
    random = np.random.default_rng(5)
    cheap = smooth(rows) + 0.5 + 0.1 * rows[:, 4]
    weights = np.concatenate([rows, rows[:num_dear]])
    losses = np.concatenate([cheap, smooth(rows[:num_dear])]) + noise * random.standard_normal(num + num_dear)
    fidelities = np.r_[np.full(num, 0.1), np.ones(num_dear)]
    return History(weights, losses, np.ones(len(losses), np.int64), {}, fidelities)


# ---------------------------------------------------------------------------------------------------------
# The process


def test_cheap_trials_tell_of_dear_ones():
    rows, unseen = mixtures(60, 2), mixtures(200, 3)
    fidelities = np.r_[np.full(52, 0.1), np.ones(8)]
    biased = smooth(rows) + np.where(fidelities < 1, 1.0 + 0.05 * rows[:, 2], 0.0)
    fitted = FittedFidelities(rows, fidelities, biased)
    alone = Kriging().fit(rows[52:], biased[52:])
    truth = smooth(unseen)
    assert rank_correlation(fitted.mean(unseen), truth) > max(0.95, rank_correlation(alone.mean(unseen), truth))
    assert np.abs(fitted.mean(unseen) - truth).mean() < 0.1  # the level is the dear ones', not one higher
    assert fitted.predict(unseen).mean == pytest.approx(fitted.mean(unseen))


def test_cheap_trials_of_something_else_are_not_believed():
    rows, unseen = mixtures(80, 2), mixtures(200, 3)
    fidelities = np.r_[np.full(50, 0.1), np.ones(30)]
    other = 2 + np.exp(rows @ np.array([0.5, 0.9, -1.2, 0.4, -0.8, 0.1]))
    fitted = FittedFidelities(rows, fidelities, np.where(fidelities < 1, other, smooth(rows)))
    alone = FittedFidelities(rows[50:], fidelities[50:], smooth(rows[50:]))
    truth = smooth(unseen)
    assert np.abs(fitted.mean(unseen) - truth).mean() < 2 * np.abs(alone.mean(unseen) - truth).mean() + 0.01
    assert rank_correlation(fitted.mean(unseen), truth) > 0.9


def test_the_joint_covariance_is_that_of_conditioning():
    history, rows, known = made_history(), mixtures(7, 9), np.array([0.1, 0.4, 1.0])
    fitted = FittedFidelities(history.weights, history.fidelities, history.losses)
    points = np.sqrt(rows) * fitted.relevances
    every, at = np.tile(points, (3, 1)), np.repeat(known, 7)
    wanted = np.zeros((21, 21))
    for share, one in zip(fitted.shares, fitted.processes, strict=True):
        of_runs = fitted.runs.covariance(fitted.length, one.bias) + one.noise * np.eye(len(history))
        across = kernel(every, fitted.runs.points, fitted.length) * between(at, history.fidelities, one.bias)
        before = kernel(every, every, fitted.length) * between(at, at, one.bias)
        wanted += share * one.scale * (before - across @ np.linalg.solve(of_runs, across.T))
    joint = Joint(fitted, rows, known)
    own, shared = joint.with_target()
    assert own.ravel() == pytest.approx(np.diag(wanted), rel=1e-5, abs=1e-9)
    assert shared.ravel() == pytest.approx(wanted[np.arange(21), np.tile(np.arange(14, 21), 3)], rel=1e-5, abs=1e-9)
    for place, row in ((0, 3), (2, 6)):
        assert joint.with_all(place, row).ravel() == pytest.approx(wanted[place * 7 + row], rel=1e-5, abs=1e-9)


# ---------------------------------------------------------------------------------------------------------
# What is bought


def test_a_trial_at_the_target_is_worth_its_expected_improvement():
    history, rows = made_history(noise=0.0), mixtures(60, 8)
    fitted = FittedFidelities(history.weights, history.fidelities, history.losses)
    best = float(fitted.mean(history.weights).min())
    own, _ = Joint(fitted, rows, (1.0,)).with_target()
    told = own[0] / np.sqrt(own[0] + fitted.noise)
    wanted = int(np.argmax(improvement(best - fitted.mean(rows), told)))
    assert chosen(fitted, rows, np.ones((1, 60), bool), (1.0,), best=best, budget=1.0) == [(wanted, 0)]


def test_a_batch_does_not_buy_what_it_knows_already():
    history = made_history()
    fitted = FittedFidelities(history.weights, history.fidelities, history.losses)
    rows = np.repeat(mixtures(1, 3), 5, axis=0) + 1e-9 * np.eye(6)[:5]
    rows = np.concatenate([rows / rows.sum(axis=1, keepdims=True), mixtures(40, 12)])
    found = chosen(fitted, rows, np.ones((2, 45), bool), (0.1, 1.0), best=float(fitted.mean(rows[:1])[0]), budget=1.0)
    assert len(found) == 10
    assert sum(row < 5 for row, _ in found) < 5


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 60),
    st.sets(st.sampled_from((0.02, 0.1, 0.25, 0.3, 0.5, 0.7)), max_size=3),
    st.integers(0, 200),
)
def test_a_first_round_spends_its_budget(n, cheap, more):
    fidelities = (*cheap, 1.0)
    counts = design(n, fidelities, n + more)
    spent = sum(fidelity * count for fidelity, count in counts.items())
    assert spent <= n + 1e-6
    assert list(counts) == sorted(fidelities, reverse=True)
    assert all(count <= n + more for count in counts.values())
    # What is left pays for nothing that there is a mixture for.
    assert all(spent + fidelity > n - 1e-6 or count == n + more for fidelity, count in counts.items())


def made(fidelities: tuple[float, ...], seed: int = 1, num: int = 12, **changes) -> Problem:
    given = {"start": start(SPACE, num, seed=seed), "pool": pool(SPACE, 300, concentration=1.0, seed=seed)}
    return Problem(SPACE, seed=seed, fidelities=fidelities, **{**given, **changes})


def test_a_round_costs_what_it_may_and_repeats_nothing():
    ours = strategy("bayes-fidelity", made((0.1, 0.4, 1.0)))
    first = proposed(ours, History.empty(6), 4)
    assert 3.6 < first.fidelities.sum() <= 4 + 1e-9  # all twelve mixtures are bought at a tenth
    losses = smooth(first.weights) + 0.3 * (1 - first.fidelities)
    history = History(first.weights, losses, np.ones(len(losses), np.int64), {}, first.fidelities)
    again = proposed(ours, history, 4)
    assert 3.9 < again.fidelities.sum() <= 4 + 1e-9
    both = np.column_stack([np.concatenate([first.weights, again.weights]), np.r_[first.fidelities, again.fidelities]])
    assert len(np.unique(both, axis=0)) == len(both)
    assert set(again.fidelities) <= {0.1, 0.4, 1.0}
    assert (again.weights <= SPACE.limits + 1e-9).all()
    same = proposed(strategy("bayes-fidelity", made((1.0, 0.4, 0.1))), history, 4)
    assert np.array_equal(same.weights, again.weights)
    assert np.array_equal(same.fidelities, again.fidelities)


def test_other_strategies_propose_trials_of_all_tokens():
    ours = strategy("bayes", made((1.0,), num=20))
    first = proposed(ours, History.empty(6), 8)
    assert first.fidelities.tolist() == [1.0] * 8
    history = History(first.weights, smooth(first.weights), np.ones(8, np.int64), {})
    assert history.fidelities.tolist() == [1.0] * 8
    assert np.array_equal(proposed(ours, history, 3).weights, ours.propose(history, 3))


def test_frozen_groups_buy_too():
    groups = Groups.of(8, [((0, 1, 2), (1, 1, 2))])
    ours = Frozen(groups, MultiFidelity(mixtures(20), mixtures(50, 1), np.ones(6), (0.1, 1.0)))
    first = proposed(ours, History.empty(8), 3)
    assert first.weights.shape == (20 + 1, 8)
    assert first.weights[:, 2] == pytest.approx(2 * first.weights[:, 0])
    losses = first.weights[:, 3] + 0.1 * first.fidelities
    history = History(first.weights, losses, np.ones(21, np.int64), {}, first.fidelities)
    assert proposed(ours, history, 2).fidelities.sum() == pytest.approx(2.0, abs=0.1)
    assert ours.recommend(history).tolist() in history.weights.tolist()


def test_what_cannot_be_bought_is_said():
    for fidelities in ((0.5,), (0.0, 1.0), (1.0, 1.0), ()):
        with pytest.raises(SettingsError, match="one is 1"):
            MultiFidelity(np.ones((1, 6)) / 6, np.ones((1, 6)) / 6, np.ones(6), fidelities)
    with pytest.raises(SettingsError, match="9 trials, but 4 mixtures"):
        design(9, (0.1, 1.0), 4)
    with pytest.raises(ValueError, match="3 fidelities for 2 trials"):
        History(mixtures(2), np.ones(2), np.ones(2, np.int64), {}, np.ones(3))


# ---------------------------------------------------------------------------------------------------------
# That it saves money


def spent(name: str, fidelities: tuple[float, ...], rounds: tuple[int, ...], landscape: Landscape, seed: int) -> float:
    """Regret of a search where a trial of less than all tokens measures a target that needs somewhat other topics."""
    counts = [int(count) for count in landscape.tokens]
    space = Space.of(counts, budget_tokens=sum(counts), max_epochs=100)
    random = np.random.default_rng(seed)
    needs = 0.7 * landscape.needs + 0.3 * random.dirichlet(np.ones(len(landscape.needs)))
    cheap = Landscape("cheap", needs, landscape.topics, landscape.tokens)
    drawn = {
        "start": start(space, sum(rounds), seed=seed),
        "pool": pool(space, 2000, concentration=1.0, seed=seed),
    }
    ours = strategy(name, Problem(space, seed=seed, fidelities=fidelities, **drawn))
    history = History.empty(landscape.num_buckets)
    for number, n in enumerate(rounds, 1):
        found = proposed(ours, history, n)
        assert found.fidelities.sum() <= n + 1e-9
        losses = np.where(found.fidelities < 1, 0.5 + cheap.losses(found.weights), landscape.losses(found.weights))
        losses += landscape.noise * random.standard_normal(len(losses))
        history = History(
            np.concatenate([history.weights, found.weights]),
            np.concatenate([history.losses, losses]),
            np.concatenate([history.rounds, np.full(len(losses), number, np.int64)]),
            {},
            np.concatenate([history.fidelities, found.fidelities]),
        )
    return landscape.regret(ours.recommend(history))


@pytest.mark.parametrize("name", ["peaked", "blended"])
def test_at_equal_cost_a_search_with_cheap_trials_ends_nearer_to_the_best(name):
    landscape = all_landscapes()[name]
    rounds = (4, 2, 2)
    both = [spent("bayes-fidelity", (0.1, 1.0), rounds, landscape, seed) for seed in range(4)]
    dear = [spent("bayes", (1.0,), rounds, landscape, seed) for seed in range(4)]
    assert np.mean(both) < np.mean(dear)
