"""Predictors beside the trees and the plain process: lines, laws, exposure, fidelities, stacks."""

import numpy as np
import pytest

from mixer.predictors.choice import PREDICTORS, predictor
from mixer.predictors.exposure import Exposure, FittedExposure, worth_of
from mixer.predictors.kriging import Bent, Kriging
from mixer.predictors.loglinear import fitted_law
from mixer.predictors.recency import FittedRecency, lateness, worth
from mixer.predictors.ridge import Linear, Quadratic, left_out_best, terms
from mixer.predictors.stack import Stack, shares_of
from mixer.predictors.trees import REGMIX, LightGBM
from mixer.predictors.validation import rank_correlation
from pipelines.errors import SettingsError


def mixtures(num: int, buckets: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(buckets), num)


def curved(weights: np.ndarray, noise: float = 0.0) -> np.ndarray:
    slopes = np.array([-1.5, -0.7, 0.0, 0.3, 0.6, 1.0])
    return 2.0 + np.exp(weights @ slopes) + noise * np.random.default_rng(9).standard_normal(len(weights))


@pytest.mark.parametrize("name", [*PREDICTORS])
def test_every_predictor_ranks_repeats_and_says_how_sure_it_is(name):
    weights, unseen = mixtures(60), mixtures(200, seed=1)
    losses = curved(weights, noise=0.02)
    fitted, again = (predictor(name).fit(weights, losses) for _ in range(2))
    mean, spread = fitted.predict(unseen)
    assert rank_correlation(mean, curved(unseen)) > 0.8
    assert (spread >= 0).all()
    assert np.array_equal(mean, fitted.mean(unseen))
    assert np.array_equal(mean, again.mean(unseen))
    assert fitted.note


@pytest.mark.parametrize("name", [*PREDICTORS])
@pytest.mark.parametrize("num", [1, 2, 5])
def test_few_runs_and_equal_losses_are_no_error(name, num):
    weights = mixtures(num)
    for losses in (curved(weights), np.full(num, 3.0)):
        mean, spread = predictor(name).fit(weights, losses).predict(mixtures(7, seed=2))
        assert np.isfinite(mean).all()
        assert np.isfinite(spread).all()
        if np.ptp(losses) == 0:
            assert mean == pytest.approx(np.full(7, losses[0]), abs=1e-6)


def test_an_unknown_predictor_is_named_with_those_there_are():
    with pytest.raises(SettingsError, match="no predictor is called 'forest'; there are: linear, quadratic"):
        predictor("forest")
    assert predictor("exposure", available=(5.0, 7.0), phases=(3,)) == Exposure((5.0, 7.0), (3,))
    with pytest.raises(SettingsError, match="exposure needs the tokens of buckets and of phases"):
        predictor("exposure")


def test_left_out_errors_are_those_of_refitting_without_each_row():
    features, targets = mixtures(25), curved(mixtures(25), noise=0.05)
    centred, level = features - features.mean(axis=0), targets.mean()
    _, error, penalty = left_out_best(centred, targets - level)
    apart = []
    for row in range(25):
        rest = np.delete(np.arange(25), row)
        # The centre of all rows stays, as in the closed form; the level is fitted without the row.
        design = np.column_stack([np.ones(24), centred[rest]])
        ridge = np.diag([0.0] + [penalty] * 6)
        slope = np.linalg.solve(design.T @ design + ridge, design.T @ targets[rest])
        apart.append(targets[row] - np.r_[1, centred[row]] @ slope)
    assert error == pytest.approx(np.sqrt(np.mean(np.square(apart))), rel=1e-6)


def test_lines_and_quadratics_find_what_they_are_made_for():
    weights, unseen = mixtures(80), mixtures(50, seed=3)
    line = lambda rows: 3 - rows @ np.arange(6.0)  # noqa: E731
    assert Linear().fit(weights, line(weights)).mean(unseen) == pytest.approx(line(unseen), abs=1e-3)
    bowl = lambda rows: ((rows - 1 / 6) ** 2).sum(axis=1)  # noqa: E731
    assert Quadratic().fit(weights, bowl(weights)).mean(unseen) == pytest.approx(bowl(unseen), abs=1e-3)
    assert rank_correlation(Linear().fit(weights, bowl(weights)).mean(unseen), bowl(unseen)) < 0.6
    assert terms(np.array([[2.0, 3.0]]), 2).tolist() == [[2, 3, 4, 6, 9]]


def test_the_law_is_found_again():
    weights, unseen = mixtures(60), mixtures(50, seed=4)
    law = fitted_law(weights, curved(weights))
    assert law.at(unseen) == pytest.approx(curved(unseen), abs=0.02)
    # Buckets that no trial held apart get the same slope, not one out of nothing.
    twins = np.column_stack([weights[:, :5], weights[:, 5:] / 2, weights[:, 5:] / 2])
    slopes = fitted_law(twins, curved(weights)).slopes
    assert slopes[5] == pytest.approx(slopes[6], abs=1e-6)


def test_regmix_trees_are_one_constant_where_its_limits_leave_no_split():
    weights = mixtures(32)
    assert np.ptp(LightGBM(min_runs=0, settings=REGMIX).fit(weights, curved(weights)).mean(weights)) == 0
    assert np.ptp(LightGBM(min_runs=0).fit(weights, curved(weights)).mean(weights)) > 0


def test_readings_are_worth_less_each_time():
    worth = worth_of(np.array([0.5, 1.0, 2.0, 4.0, 100.0]), 15.4)
    assert worth[:2].tolist() == [0.5, 1.0]
    # 2305.16264: up to four epochs are almost as good as new tokens; beyond that the worth levels off.
    assert 0.9 < worth[3] / 4 < 0.95
    assert worth[4] < 1 + 15.4
    assert worth_of(np.array([7.0]), np.inf) == 7.0


def phased(rows: np.ndarray, recency: float = 0.2) -> np.ndarray:
    early, late = rows[:, :6], rows[:, 6:]
    known = (0.7 * recency * early + 0.3 * late) / (0.7 * recency + 0.3)
    return 3 + ((known + 0.05) ** -0.4) @ np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.02])


def test_phases_count_by_when_they_are_read():
    rows, unseen = (np.column_stack([mixtures(n, seed=s), mixtures(n, seed=s + 1)]) for n, s in ((48, 5), (200, 7)))
    exposure = Exposure(available=(1e9,) * 6, phases=(700, 300))
    fitted = exposure.fit(rows, phased(rows))
    assert isinstance(fitted, FittedExposure)
    assert fitted.recency in (0.15, 0.3)
    plain = Kriging().fit(0.7 * rows[:, :6] + 0.3 * rows[:, 6:], phased(rows))
    blind = plain.mean(0.7 * unseen[:, :6] + 0.3 * unseen[:, 6:])
    assert rank_correlation(fitted.mean(unseen), phased(unseen)) > 0.95
    assert rank_correlation(blind, phased(unseen)) < 0.8


def test_repetition_takes_the_worth_of_a_small_bucket():
    def losses(rows):
        known = worth_of(rows * 1000 / np.array([20.0, 1e9, 1e9]), 1.0) * np.array([20.0, 1e9, 1e9]) / 1000
        return 3 + ((known + 0.02) ** -0.5) @ np.array([0.8, 0.1, 0.1])

    weights, unseen = mixtures(40, 3), mixtures(200, 3, seed=1)
    fitted = Exposure(available=(20, 1e9, 1e9), phases=(1000,)).fit(weights, losses(weights))
    assert fitted.decay < 15.4
    assert rank_correlation(fitted.mean(unseen), losses(unseen)) > 0.95


def test_one_phase_without_repetition_is_the_plain_process():
    weights, unseen = mixtures(20), mixtures(50, seed=1)
    exposure = Exposure(available=(1e9,) * 6, phases=(1000,)).fit(weights, curved(weights))
    plain = Bent(weights, curved(weights), 0.5, passes=0)
    assert exposure.mean(unseen) == pytest.approx(plain.mean(unseen))
    spread = exposure.predict(unseen).spread
    assert spread == pytest.approx(np.sqrt(plain.moments(unseen)[1] + plain.noise))


def test_a_stack_gives_its_share_to_the_part_that_knows():
    weights = mixtures(40)
    losses = curved(weights, noise=0.01)
    shares = Stack((Linear(), LightGBM(min_runs=0, settings=REGMIX))).fit(weights, losses).shares
    assert shares.sum() == pytest.approx(1)
    assert shares[0] > 0.9
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    apart = np.array([1.0, -1.0, 1.0, -1.0])
    assert shares_of(np.array([truth + apart, truth - apart]), truth) == pytest.approx([0.5, 0.5])


def test_what_all_parts_predict_alike_does_not_move_the_shares():
    truth, errors = np.random.default_rng(3).standard_normal(40), np.random.default_rng(4).standard_normal((2, 40))
    trend = np.linspace(0, 100, 40)
    shares = shares_of(truth + errors * [[2.0], [1.0]], truth, trust=12)
    assert 0.1 < shares[1] < 0.9
    assert shares_of(truth + trend + errors * [[2.0], [1.0]], truth + trend, trust=12) == pytest.approx(shares)


def test_a_bucket_that_fades_faster_has_a_recency_of_its_own():
    random = np.random.default_rng(2)
    rows = random.dirichlet(np.full(6, 0.7), (90, 2)).reshape(90, 12)
    kept = np.array([0.05, 1, 1, 1, 1, 1])
    losses = curved(worth(rows, lateness((0.7, 0.3), kept)))
    fitted = FittedRecency(rows[:60], losses[:60], (0.7, 0.3))
    assert fitted.recency[0] < 0.3
    assert fitted.recency[[1, 4, 5]].min() > 0.4
    assert rank_correlation(fitted.mean(rows[60:]), losses[60:]) > 0.97
    steady = np.tile(rows[:, :6], 2)  # what never changes is worth itself, whatever the recencies
    assert np.allclose(worth(steady, lateness((0.7, 0.3), kept)), rows[:, :6])
