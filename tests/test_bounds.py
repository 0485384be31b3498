"""Least and most shares of clusters: they hold in every mixture, and a search ends at one that is in its way."""

import numpy as np
import planted
import pyarrow.parquet as pq
import pytest
from planted import PlantedTrainer

from mixer.candidates import Space, pool, start
from mixer.freezing import groups_of
from mixer.strategies.choice import RULES, STRATEGIES, strategy
from mixer.strategies.reuse import Frozen, Groups
from mixer.strategy import History, Problem, Target
from pipelines.configuration import load
from pipelines.errors import SettingsError
from pipelines.search_settings import Bound, Search
from pipelines.search_settings import Frozen as FrozenGroup

SPACE = Space.of((10, 40, 5, 80, 60, 20), budget_tokens=215, max_epochs=8)
TARGET = Target(np.arange(1.0, 7.0), np.eye(6), np.arange(1.0, 7.0) / 21)


def problem(groups: Groups, space: Space, **changes) -> Problem:
    within = groups.space(space)
    drawn = pool(within, 1500, concentration=3, seed=1)
    return Problem(**{"space": within, "start": start(within, 30, seed=1), "pool": drawn, **changes})


def measured(rows: np.ndarray, needs: np.ndarray) -> History:
    return History(rows, ((rows - needs) ** 2).sum(axis=1), np.ones(len(rows), np.int64), {})


@pytest.mark.parametrize("name", [*STRATEGIES, *RULES])
def test_bounds_hold_in_every_mixture(name):
    groups = Groups.of(6, []).bounded([(0, 0.2, 0.3), (3, 0.1, 1.0), (4, 0.0, 0.15)])
    few = problem(groups, SPACE, target=groups.target(TARGET))
    made = Frozen(groups, strategy(name, few))
    assert made.name == strategy(name, few).name
    first = made.propose(History.empty(6), 20)
    known = measured(first, np.ones(6) / 6)
    for rows in (first, made.propose(known, 5), made.recommend(known)[np.newaxis]):
        assert np.allclose(rows.sum(axis=1), 1, atol=1e-9)
        assert (rows >= groups.floors - 1e-9).all()
        assert (rows <= np.minimum(groups.ceilings, SPACE.limits) + 1e-9).all()
    assert groups.expand(groups.reduce(first)) == pytest.approx(first, abs=1e-12)


def test_a_search_ends_at_a_bound_that_keeps_it_from_the_best():
    needs = np.array([0.6, 0.4, 0, 0, 0, 0])
    groups = Groups.of(6, []).bounded([(0, 0.0, 0.2), (5, 0.15, 1.0)])
    made = Frozen(groups, strategy("auto", problem(groups, Space.free(np.ones(6)))))
    history = History.empty(6)
    for n in (20, 10, 10):
        history = measured(np.concatenate([history.weights, made.propose(history, n)]), needs)
    found = made.recommend(history)
    assert found[0] == pytest.approx(0.2, abs=0.02)
    assert found[5] == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ([(0, 0.9, 1.0), (1, 0.2, 1.0)], "nothing is left|caps on repetition"),
        ([(2, 0.5, 1.0)], "least share 0.5, but caps on repetition allow 0.186"),
        ([(1, 0.1, 1.0), (1, 0.2, 1.0)], "cluster 1 is in a frozen group, or named twice"),
        ([(number, 0.0, 0.1) for number in range(6)], "no mixture within the caps"),
    ],
)
def test_bounds_that_leave_no_search_are_told(bounds, told):
    with pytest.raises(SettingsError, match=told):
        Groups.of(6, []).bounded(bounds).space(SPACE)


@pytest.mark.parametrize("phases", [(), (0.75, 0.25)])
def test_a_whole_search_keeps_within_bounds_beside_frozen_groups_and_in_every_phase(phases, tmp_path):
    names = ["law", "maths", "news", "code", "games", "food", "music", "art"]
    bounds = (Bound(cluster="maths", min=0.3), Bound(cluster=4, max=0.05))
    groups = groups_of([FrozenGroup(clusters=("food", "music"))], names, planted.TOKENS, bounds)
    settings = Search(rounds=(8, 4), tokens=1000, candidates=400, phases=phases, bounds=bounds)
    found = planted.search(tmp_path, PlantedTrainer(), settings, groups=groups)
    drawn = [pq.read_table(path)["weights"].to_pylist() for path in (tmp_path / "candidates").glob("round-*.parquet")]
    rows = np.array([row for rows in drawn for row in rows]).reshape(12, -1, 8)
    overall = np.einsum("rpb,p->rb", rows, phases or (1.0,))
    assert (rows[:, :, 1] >= 0.3 - 1e-9).all()
    assert (overall[:, 4] <= 0.05 + 1e-9).all()
    assert min(phase.weights[1] for phase in found.schedule.phases) >= 0.3 - 1e-9
    assert found.schedule.weights[4] <= 0.05 + 1e-9


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("search.bounds=[{cluster=1, min=0.5, max=0.4}]", "min = 0.5 over max = 0.4"),
        ("search.bounds=[{cluster=1, min=1.0}]", "less than 1"),
        ("search.bounds=[{min=0.1}]", "cluster"),
    ],
)
def test_bounds_that_settings_cannot_mean_are_refused_with_them(change, told):
    with pytest.raises(SettingsError, match=told):
        load(changes=[change])


def test_a_bound_of_no_cluster_is_told():
    with pytest.raises(SettingsError, match=r"search.bounds: clusters names 'art': no cluster is called that"):
        groups_of([], ["law", "maths"], (10, 20), [Bound(cluster="art", max=0.5)])
