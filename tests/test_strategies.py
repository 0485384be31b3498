"""Every strategy against landscapes whose best mixture is known, and the parts that strategies are made of."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mixer.candidates import Space, pool, start
from mixer.predictors.exposure import Exposure
from mixer.predictors.kriging import Kriging
from mixer.predictors.validation import cross_validated
from mixer.strategies import rules
from mixer.strategies.bayes import around, believed, improvement
from mixer.strategies.choice import RULES, STRATEGIES, strategy
from mixer.strategies.climb import Climb, climb_recipe
from mixer.strategies.domain2vec import aligned
from mixer.strategies.olmix import divergence, olmix, swarm_size
from mixer.strategies.reuse import Frozen, Groups
from mixer.strategies.simplex import minimised
from mixer.strategy import History, Problem, Target, among
from pipelines.errors import SettingsError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infra" / "benchmarks" / "mixer"))
from landscapes import all_landscapes, filled
from simulation import on_landscape, searched

SPACE = Space.of((10, 40, 5, 80, 60, 20), budget_tokens=215, max_epochs=8)
LANDSCAPES = all_landscapes()
# Where uniform is far from the best and losses bend little: what every published method promises to find.
SIMPLE = LANDSCAPES["simple"]


def problem(num: int = 30, **changes) -> Problem:
    given = {"space": SPACE, "start": start(SPACE, num, seed=1), "pool": pool(SPACE, 1500, concentration=1.0, seed=1)}
    return Problem(**{**given, **changes})


def smooth(rows: np.ndarray) -> np.ndarray:
    return 2 + np.exp(rows @ np.array([-1.0, -0.6, 0.2, 0.4, 0.0, 0.3]))


def history_of(rows: np.ndarray, measure=smooth) -> History:
    return History(rows, measure(rows), np.ones(len(rows), np.int64), {})


TARGET = Target(np.arange(1.0, 7.0), np.eye(6), np.arange(1.0, 7.0) / 21)


@pytest.mark.parametrize("name", [*STRATEGIES, *RULES])
def test_what_every_strategy_keeps_to(name):
    made = strategy(name, problem(target=TARGET))
    first = made.propose(History.empty(6), 20)
    known = history_of(first)
    again = made.propose(known, 5)
    found = made.recommend(known)
    for rows in (first, again, found[np.newaxis]):
        assert np.allclose(rows.sum(axis=1), 1, atol=1e-9)
        assert (rows >= 0).all()
        assert (rows <= SPACE.limits + 1e-9).all()
    assert np.array_equal(again, strategy(name, problem(target=TARGET)).propose(known, 5))
    assert np.array_equal(found, strategy(name, problem(target=TARGET)).recommend(known))
    fitted = made.fit(known)
    assert (fitted is None) == (name in {*RULES, "random"})
    if name not in RULES and name != "climb-recipe":
        assert len({row.tobytes() for row in np.concatenate([first, again])}) == 25


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "climb-recipe"])
@pytest.mark.parametrize("groups", [None, Groups.of(6, [((0, 1), (1.0, 4.0))])])
def test_what_failed_is_asked_for_no_more(name, groups):
    given = problem(target=TARGET)
    made = strategy(name, given)
    if groups is not None:
        space = groups.space(SPACE)
        few = replace(
            given, space=space, start=start(space, 30, seed=1), pool=pool(space, 800, concentration=1, seed=1)
        )
        made = Frozen(groups, strategy(name, replace(few, target=groups.target(TARGET))))
    first = made.propose(History.empty(6), 20)
    failed = np.arange(20) % 5 == 1
    known = replace(history_of(first[~failed]), failed=first[failed])
    again = made.propose(known, 8)
    assert not among(again, first).any()
    if name == "auto":  # what failed would be asked for again, were it not told
        tempting = replace(known, failed=again[:1])
        assert not among(made.propose(tempting, 8), again[:1]).any()


@pytest.mark.parametrize("name", [*STRATEGIES, "nearest", "domain2vec"])
def test_beats_uniform_where_a_better_mixture_exists(name):
    ours = [on_landscape(name, SIMPLE, 112, seed, candidates=2000)[0] for seed in (1, 2)]
    assert max(ours) < SIMPLE.regret(np.full(8, 1 / 8)) - 0.05


@pytest.mark.parametrize("landscape", ["peaked", "narrow", "blended", "noisy"])
def test_the_automatic_choice_ends_near_the_best(landscape):
    truth = LANDSCAPES[landscape]
    ours, _, _ = on_landscape("auto", truth, 56, 3, candidates=3000)
    assert ours < 0.08
    assert ours < 0.6 * truth.regret(np.full(truth.num_buckets, 1 / truth.num_buckets))


def test_the_automatic_choice_is_no_worse_than_without_rules_nor_than_the_best_rule():
    """A search that trains a rule's mixture holds it, or what it measured as good, whether rules are good or bad."""
    for landscape in ("peaked", "blended"):
        truth = LANDSCAPES[landscape]
        rule = min(on_landscape(name, truth, 1, 0, candidates=500)[0] for name in ("nearest", "natural", "entropy"))
        ours, bare = (
            [on_landscape(name, truth, 42, seed, candidates=1000)[0] for seed in range(2)] for name in ("auto", "bayes")
        )
        assert np.mean(ours) < np.mean(bare) + 0.002
        assert max(ours) < rule + 3 * truth.noise


def test_the_automatic_choice_begins_with_the_rules_there_are():
    made = strategy("auto", problem(target=TARGET))
    first = made.propose(History.empty(6), 8)
    known = rules.known_to(problem(target=TARGET))
    assert np.array_equal(first, np.concatenate([known, problem().start[: 8 - len(known)]]))
    assert np.array_equal(known[0], rules.nearest(SPACE, TARGET.counts))
    assert len(rules.known_to(problem())) == len(known) - 1
    rows = problem().pool[:50]
    listed = strategy("auto", problem(target=TARGET, pool=rows, start=rows, listed=True)).propose(History.empty(6), 50)
    assert sorted(map(tuple, listed)) == sorted(map(tuple, rows))


@pytest.mark.parametrize("name", ["auto", "climb", "olmix", "modomodo"])
def test_a_flat_landscape_is_told_as_one(name):
    flat = LANDSCAPES["flat"]
    told = 0
    for seed in range(3):
        regret, history, made = on_landscape(name, flat, 35, seed, candidates=1000)
        assert regret == pytest.approx(0, abs=1e-9)
        tested = cross_validated(lambda rows: made.fit(history.take(rows)), history.weights, history.losses, repeats=1)  # noqa: B023
        told += not tested.better_than_chance
    assert told >= 2


def test_phases_are_searched_with_the_exposure_predictor():
    """What is read last counts more: the exposure predictor sees it, and two-phase schedules are ranked right."""
    truth = LANDSCAPES["two-phase"]
    shares = truth.tokens / truth.tokens.sum()
    draws = [pool(Space.free(shares), 900, concentration=4.0, seed=seed) for seed in (1, 2)]
    num = min(map(len, draws))
    rows = np.column_stack([part[:num] for part in draws])
    exposure = Exposure(tuple(truth.tokens), (7_000, 3_000))
    made = Climb(rows[:40], rows, exposure, listed=True, seed=3)
    found, history = searched(made, lambda mixtures: truth.measured(mixtures, 3), (24, 12, 6), 16)
    better = (truth.losses(rows) < truth.losses(found)[0]).mean()
    assert better < 0.02
    assert truth.losses(found)[0] < np.median(history.losses)


def test_landscapes_know_their_best():
    for landscape in LANDSCAPES.values():
        random = np.random.default_rng(1)
        others = np.concatenate([random.dirichlet(np.ones(landscape.num_buckets), 500)] * len(landscape.phases), axis=1)
        near = np.abs(landscape.best + 0.01 * random.standard_normal((500, len(landscape.best))))
        near = near.reshape(500, len(landscape.phases), -1)
        near = (near / near.sum(axis=2, keepdims=True)).reshape(500, -1)
        assert landscape.losses(np.concatenate([others, near])).min() >= landscape.losses(landscape.best)[0] - 1e-9
        assert landscape.flat == (landscape.name == "flat")
    assert filled(np.array([0.5, 0.5, 0.0]), 0.01).tolist() == [0.5, 0.5, 0.0]


# ---------------------------------------------------------------------------------------------------------
# Convex solving, Olmix, alignment


def test_minimised_agrees_with_a_general_solver():
    from scipy.optimize import minimize

    random = np.random.default_rng(0)
    for strength in (0.0, 0.05):
        slopes = random.normal(0, 2, (5, 6))
        limits = np.array([0.3, 1, 1, 0.2, 1, 0.4])

        def value(weights, slopes=slopes):
            above = np.exp(slopes @ weights)
            return float(above.mean()), above @ slopes / 5

        def total(weights, strength=strength, value=value):
            return value(weights)[0] + strength * divergence(weights[np.newaxis], SPACE.shares)[0]

        found = minimised(value, limits, SPACE.shares, strength=strength)
        theirs = minimize(
            total, rules.uniform(SPACE), method="SLSQP", bounds=[(1e-9, top) for top in limits],
            constraints={"type": "eq", "fun": lambda row: row.sum() - 1}, options={"maxiter": 500, "ftol": 1e-12},
        )  # fmt: skip
        assert total(found) <= theirs.fun + 1e-5
        assert found.sum() == pytest.approx(1)
        assert (found <= limits + 1e-12).all()


def test_olmix_averages_tasks_and_is_drawn_to_the_natural_shares():
    rows = start(SPACE, 60, seed=2)
    tasks = {"a": smooth(rows), "b": 3 + np.exp(rows @ np.array([0.5, 0.5, -2.0, 0, 0, 0]))}
    known = History(rows, (tasks["a"] + tasks["b"]) / 2, np.ones(60, np.int64), tasks)
    both = olmix(problem(60, tasks=("a", "b"))).recommend(known)
    one = olmix(problem(60, tasks=("a",))).recommend(known)
    assert both[2] > one[2] + 0.02  # only the second task wants bucket 2, whose cap is low
    far = [
        divergence(replace(olmix(problem(60)), strength=strength).recommend(known)[np.newaxis], SPACE.shares)[0]
        for strength in (0.0, 0.05, 5.0)
    ]
    assert far[0] > far[1] > far[2]
    assert far[2] < 0.01
    with pytest.raises(SettingsError, match="no loss named c in the trials; there are: a, b"):
        olmix(problem(60, tasks=("c",))).recommend(known)
    assert swarm_size(24) == 75


def test_domain2vec_finds_the_mixture_that_made_the_target():
    random = np.random.default_rng(3)
    composition = random.dirichlet(np.full(9, 0.3), 6).T
    truth = np.array([0.1, 0.3, 0.05, 0.25, 0.2, 0.1])
    assert aligned(Space.free(np.ones(6)), composition, composition @ truth) == pytest.approx(truth, abs=0.01)
    with pytest.raises(SettingsError, match="domain2vec needs the topics"):
        strategy("domain2vec", problem(target=Target.of_counts(np.ones(6))))
    with pytest.raises(SettingsError, match=r"composition is \(9, 6\)"):
        aligned(SPACE, composition, np.ones(3) / 3)


def test_unimax_gives_everything_once_before_anything_twice():
    sizes = (179955884499, 184595788282, 42541080893, 10027573389, 549707867)
    space = Space.of(sizes, budget_tokens=250_000_000_000, max_epochs=15)
    # The figures of the unimax-sampling package for four epochs of the same five languages.
    assert rules.unimax(space, 4) == pytest.approx([0.276921, 0.276921, 0.276921, 0.160441, 0.008795], abs=1e-6)
    once = rules.unimax(space)
    assert (once <= space.once + 1e-12).all()
    assert once[0] == pytest.approx(once[1])
    assert rules.unimax(Space.of((5, 10), budget_tokens=30, max_epochs=5)) == pytest.approx([1 / 3, 2 / 3])


# ---------------------------------------------------------------------------------------------------------
# Bayesian optimisation


def test_expected_improvement_is_what_draws_improve_on_average():
    draws = np.random.default_rng(0).normal(1.0, 0.5, 400_000)
    assert improvement(np.array([0.8 - 1.0]), np.array([0.5]))[0] == pytest.approx(
        np.maximum(0.8 - draws, 0).mean(), rel=0.02
    )
    assert improvement(np.array([0.3, -0.3]), np.zeros(2)).tolist() == pytest.approx([0.3, 0.0])


def test_a_believed_batch_spreads_out():
    places = np.linspace(0, 1, 50)
    covariance = np.exp(-((places[:, None] - places) ** 2) / 0.02)
    chosen = believed(np.zeros(50), covariance, 1e-6, 0.0, 5)
    assert len(set(chosen)) == 5
    assert np.diff(np.sort(places[chosen])).min() > 0.1
    # Without noise, conditioning leaves no variance where a trial was.
    assert believed(np.array([0.0, -1.0, 5.0]), np.eye(3) * 1e-9, 1e-12, 0.0, 3) == [1, 0, 2]


def test_bayes_ends_with_what_was_trained_and_the_other_with_anything():
    known = history_of(start(SPACE, 25, seed=4))
    ours = strategy("bayes", problem()).recommend(known)
    assert ours.tolist() in known.weights.tolist()
    anything = strategy("bayes-untrained", problem()).recommend(known)
    assert anything.tolist() not in known.weights.tolist()
    fitted = strategy("bayes", problem()).fit(known)
    assert fitted.mean(anything[np.newaxis])[0] < fitted.mean(known.weights).min()


def test_draws_about_a_mixture_go_from_near_to_far():
    draws = around(rules.natural(SPACE), SPACE.limits, 400, np.random.default_rng(0))
    apart = np.abs(draws - rules.natural(SPACE)).sum(axis=1)
    assert apart[:100].mean() > 3 * apart[-100:].mean()
    assert (draws <= SPACE.limits + 1e-12).all()
    assert np.allclose(draws.sum(axis=1), 1)


@pytest.mark.parametrize("name", ["auto", "bayes"])
@pytest.mark.parametrize(("counts", "epochs"), [((1000, 900), 1.5), ((1000, 2000, 500), 2.0)])
def test_every_trial_is_another_mixture_where_caps_leave_little_room(name, counts, epochs):
    """The best lies in a corner of the caps, where nearly all draws about it end."""
    space = Space.of(counts, budget_tokens=sum(counts), max_epochs=epochs)
    goal = np.eye(len(counts))[0]
    given = {"space": space, "start": start(space, 16, seed=1), "pool": pool(space, 500, concentration=1.0, seed=1)}
    made = strategy(name, Problem(**given, target=Target.of_counts(goal)))
    rows = made.propose(History.empty(len(counts)), 8)
    for _ in range(2):
        rows = np.concatenate([rows, made.propose(history_of(rows, lambda w: ((w - goal) ** 2).sum(axis=1)), 4)])
    assert len({row.tobytes() for row in np.round(rows, 9)}) == len(rows)


# ---------------------------------------------------------------------------------------------------------
# Variants and reuse


def test_only_the_recipe_tries_a_mixture_again():
    rows = start(SPACE, 40, seed=5)
    few = problem(pool=rows)
    known = history_of(rows[:35])
    repeated = climb_recipe(few).propose(known, 4)
    assert any(row.tolist() in rows[:35].tolist() for row in repeated)
    with pytest.raises(SettingsError, match=r"41 trials in a round, but 40 candidates.*search\.candidates"):
        climb_recipe(few).propose(known, 41)
    for name in ("climb", "climb-paper", "bayes"):
        fresh = strategy(name, replace(few, listed=True)).propose(known, 4)
        assert not any(row.tolist() in rows[:35].tolist() for row in fresh)


def test_frozen_groups_keep_their_inner_shares_and_need_fewer_trials():
    groups = Groups.of(6, [((1, 3, 4), (2.0, 1.0, 1.0))])
    space = groups.space(SPACE)
    assert space.shares == pytest.approx([180 / 215, 10 / 215, 5 / 215, 20 / 215])
    assert (groups.expand(space.limits) <= SPACE.limits + 1e-12).all()

    few = problem(
        space=space,
        start=start(space, 20, seed=1),
        pool=pool(space, 500, concentration=1.0, seed=1),
        target=groups.target(TARGET),
    )
    assert few.target.counts.tolist() == [2 + 4 + 5, 1, 3, 6]
    made = Frozen(groups, strategy("olmix", few))
    rows = made.propose(History.empty(6), 15)
    found = made.recommend(history_of(rows))
    for row in (*rows, found):
        assert row[[1, 3, 4]] == pytest.approx(row[[1, 3, 4]].sum() * np.array([0.5, 0.25, 0.25]))
        assert (row <= SPACE.limits + 1e-9).all()
    assert smooth(found[np.newaxis])[0] < smooth(rows).mean()
    assert made.fit(history_of(rows)).mean(rows) == pytest.approx(smooth(rows), abs=0.05)
    assert made.name == "olmix-reuse"
    assert groups.reduce(groups.expand(space.shares)) == pytest.approx(space.shares)


@pytest.mark.parametrize(
    ("frozen_groups", "told"),
    [
        ([((0, 1), (1.0, 1.0)), ((1, 2), (1.0, 1.0))], "in one group"),
        ([((0, 9), (1.0, 1.0))], "one of 6"),
        ([((0, 1), (0.0, 0.0))], "has the weights"),
        ([((0, 1), (1.0,))], "has the weights"),
    ],
)
def test_groups_that_are_none_are_refused(frozen_groups, told):
    with pytest.raises(SettingsError, match=told):
        Groups.of(6, frozen_groups)


def test_an_unknown_strategy_is_named_with_those_there_are():
    with pytest.raises(SettingsError, match="no strategy is called 'doremi'; there are: auto, climb"):
        strategy("doremi", problem())
    assert strategy("climb", problem(predictor=Kriging())).predictor == Kriging()
