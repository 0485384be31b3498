"""Searches over mixtures of several phases: draws and caps, strategies, the search in its folder."""

import json
from pathlib import Path

import numpy as np
import planted
import pytest
from planted import Killed, PlantedTrainer

from mixer import phases
from mixer.candidates import Space, capped
from mixer.strategies import phasing
from mixer.strategies.phasing import Phasing
from mixer.strategies.reuse import Frozen, Groups
from mixer.strategies.rules import natural
from mixer.strategy import History, Problem, Target
from mixer.tables import of_outcomes, read_tables, written
from mixer.trial import Schedule
from pipelines.configuration import load
from pipelines.errors import SettingsError
from pipelines.search_settings import Search

COUNTS = (10, 40, 5, 80, 60, 20, 30, 50)
SPACES = {epochs: Space.of(COUNTS, budget_tokens=sum(COUNTS), max_epochs=epochs) for epochs in (1.2, 4.0, 100.0)}
SHARES = ((0.8, 0.2), (0.5, 0.3, 0.2), (0.1, 0.9))


def fits(rows: np.ndarray, shares, space: Space) -> None:
    parts = phases.parts_of(rows, len(shares))
    assert np.allclose(parts.sum(axis=2), 1, rtol=0, atol=1e-9)
    assert (parts >= 0).all()
    assert (phases.overall(rows, shares) <= space.limits + 1e-8).all()


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("epochs", SPACES)
def test_draws_keep_the_caps_of_all_phases_together(shares, epochs):
    space = SPACES[epochs]
    start = phases.start(space, shares, 64, seed=1)
    pool = phases.pool(space, shares, 2000, concentration=1.0, seed=1)
    for rows in (start, pool):
        fits(rows, shares, space)
        parts = phases.parts_of(rows, len(shares))
        same = (parts == parts[:, :1]).all(axis=(1, 2))
        assert len(rows) / 5 < same.sum() < len(rows)
    assert len(np.unique(start, axis=0)) == 64
    assert np.array_equal(start, phases.start(space, shares, 64, seed=1))
    assert not np.array_equal(start, phases.start(space, shares, 64, seed=3))


def test_the_last_phase_may_hold_more_of_a_bucket_than_the_caps_of_all_tokens():
    space = SPACES[4.0]
    last = phases.parts_of(phases.pool(space, (0.8, 0.2), 4000, concentration=1.0, seed=1), 2)[:, -1]
    assert (last <= space.limits / 0.2 + 1e-9).all()
    assert (last.max(axis=0) > 2 * space.limits)[space.limits < 0.4].all()


def test_rows_within_the_limits_come_back_unchanged_and_others_differ_in_what_is_over():
    random = np.random.default_rng(0)
    limits = SPACES[4.0].limits
    inside = phases.static(capped(random.dirichlet(np.ones(8), 50), limits), 2)
    assert np.array_equal(phases.within(inside, (0.8, 0.2), limits), inside)
    # All of the scarce bucket is asked for in both phases: the last has it all, up to what the caps leave.
    row = np.tile(np.eye(8)[0], (1, 2))
    made = phases.parts_of(phases.within(row, (0.8, 0.2), limits), 2)[0]
    assert made[1, 0] == pytest.approx(limits[0] / 0.2)
    assert made[0, 0] == pytest.approx(0)


def test_schedules_and_rows_are_the_same_thing():
    row = np.r_[0.7, 0.3, 0.0, 0.1, 0.2, 0.7]
    made = phases.schedule(row, (0.8, 0.2), 1001)
    assert [phase.tokens for phase in made.phases] == [801, 200]
    assert np.array_equal(phases.row_of(made, 2), row)
    assert made.weights == pytest.approx(phases.overall(row[np.newaxis], (0.8, 0.2))[0], abs=1e-3)
    steady = phases.schedule(np.tile(row[:3], 2), (0.8, 0.2), 1001)
    assert steady == Schedule.static(row[:3], 1001)
    assert np.array_equal(phases.row_of(steady, 2), np.tile(row[:3], 2))
    assert phases.told(steady) == {}
    assert [one["weights"] for one in phases.told(made)["phases"]] == [list(row[:3]), list(row[3:])]
    assert sum(phases.lengths((0.3, 0.3, 0.4), 10**9 + 7)) == 10**9 + 7


def test_a_tail_leaves_what_the_phases_before_have_not_read():
    space = SPACES[4.0]
    tail = phases.Tail((0.8, 0.2), natural(space)[np.newaxis])
    searched = tail.space(space)
    weights = capped(np.random.default_rng(1).dirichlet(np.full(8, 0.3), 200), searched.limits)
    rows = tail.expand(weights)
    fits(rows, (0.8, 0.2), space)
    assert np.array_equal(tail.reduce(rows), weights)
    assert tail.holds(rows).all()
    assert not tail.holds(phases.static(weights, 2)).any()
    with pytest.raises(SettingsError, match=r"the first phases read cluster 0 .* times as often"):
        phases.Tail((0.8, 0.2), np.eye(8)[:1]).space(space)


# ---------------------------------------------------------------------------------------------------------
# Strategies


def problem(name: str, asked: Phasing, space: Space) -> Problem:
    target = Target.of_counts(np.arange(1.0, 9.0))
    start, pool = asked.drawn(name, space, target, 40, 500, 1.0, 7)
    return Problem(space, start, pool, 7, target)


def history(rows: np.ndarray, rounds: np.ndarray) -> History:
    losses = ((rows - np.linspace(0, 0.3, rows.shape[1])) ** 2).sum(axis=1)
    return History(rows, losses, rounds, {})


@pytest.mark.parametrize("shares", [(0.8, 0.2), (0.5, 0.3, 0.2)])
@pytest.mark.parametrize("name", phasing.STRATEGIES)
def test_what_strategies_of_phases_propose_and_recommend_keeps_the_caps(name, shares):
    space, asked = SPACES[4.0], Phasing(shares, 3)
    made = asked.strategy(name, problem(name, asked, space))
    seen = History.empty(8 * len(shares))
    for number in (1, 2, 3):
        rows = made.propose(seen, 8)
        fits(rows, shares, space)
        assert np.array_equal(rows, made.propose(seen, 8))
        every = np.concatenate([seen.weights, rows])
        seen = history(every, np.concatenate([seen.rounds, np.full(8, number)]))
    fits(made.recommend(seen)[np.newaxis], shares, space)
    fitted = made.fit(seen)
    assert (fitted is None) == (name == "random")
    if fitted is not None:
        assert np.isfinite(fitted.predict(every)[1]).all()


def test_annealing_changes_the_last_phase_alone():
    asked = Phasing((0.5, 0.3, 0.2), 1, "entropy")
    made = asked.strategy("annealing", problem("annealing", asked, SPACES[4.0]))
    parts = phases.parts_of(made.propose(History.empty(24), 20), 3)
    assert (parts[:, :2] == phasing.EARLY["entropy"](SPACES[4.0], None)).all()
    assert len(np.unique(parts[:, 2], axis=0)) == 20


def test_remixing_holds_each_phase_at_the_best_of_its_rounds():
    asked = Phasing((0.5, 0.3, 0.2), 3)
    made = asked.strategy("remixing", problem("remixing", asked, SPACES[100.0]))
    first = made.propose(History.empty(24), 12)
    assert (phases.parts_of(first, 3) == phases.parts_of(first, 3)[:, :1]).all()
    seen = history(first, np.ones(12, np.int64))
    best = first[np.argmin(made.fit(seen).mean(first))]
    second = made.propose(seen, 12)
    parts = phases.parts_of(second, 3)
    assert (parts[:, 0] == best[:8]).all()
    assert (parts[:, 1] == parts[:, 2]).all()
    third = made.propose(history(np.concatenate([first, second]), np.repeat([1, 2], 12)), 12)
    parts = phases.parts_of(third, 3)
    assert (parts[:, 0] == best[:8]).all()
    assert (parts[:, 1] == parts[0, 1]).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["search.phases=[0.8, 0.3]"], r"which sum to 1; leave it out for one mixture"),
        (["search.phases=[1.0]"], "at least two shares"),
        (["search.phases=[1.2, -0.2]"], "each above 0"),
        (["search.phases=[0.8, 0.2]", "search.strategy=olmix"], "'olmix' finds one mixture for the whole training"),
        (["search.phases=[0.8, 0.2]", "search.strategy=nearest"], "'nearest' finds one mixture"),
        (["search.strategy=annealing"], r"search.phases is empty; give the shares"),
        (["search.early=uniform"], "is read by search.strategy = .annealing. alone"),
        (["search.early=equal"], "is none of the rules natural, uniform, .*, nor the path of a mixture.json"),
        (["search.early=old/mixture.json"], "is read by search.strategy = .annealing. alone"),
        (["search.strategy=remixing", "search.phases=[0.8, 0.2]", "search.rounds=[8]"], "a round for each of 2 phases"),
        (["search.predictor=exposure", "search.strategy=auto"], "'auto' has its own"),
    ],
)
def test_phases_that_fit_no_search_are_refused_with_the_settings(change, told):
    with pytest.raises(SettingsError, match=told):
        load(changes=change)


def test_names_of_phases_are_those_there_are():
    assert set(Search.EARLY) == set(phasing.EARLY)
    assert set(Search.OF_PHASES) == set(phasing.STRATEGIES)
    assert set(Search.ONLY_OF_PHASES) <= set(Search.OF_PHASES)
    with pytest.raises(SettingsError, match="the strategy 'olmix' finds one mixture"):
        Phasing((0.5, 0.5)).strategy("olmix", problem("auto", Phasing((0.5, 0.5)), SPACES[4.0]))


# ---------------------------------------------------------------------------------------------------------
# The search in its folder


class PhasedTrainer(PlantedTrainer):
    """What is read late counts four times as much."""

    def result(self, trial):
        parts = phases.row_of(trial.schedule, 2).reshape(2, -1)
        late = Schedule.static((parts[0] + parts[1]) / 2, trial.schedule.tokens)
        from dataclasses import replace

        return replace(super().result(replace(trial, schedule=late)), key=trial.key)


SETTINGS = Search(rounds=(10, 4), tokens=1000, candidates=600, phases=(0.8, 0.2), max_epochs=4.0)


def search(folder: Path, trainer, **changes):
    settings = Search(**{**SETTINGS.model_dump(), **changes})
    made = planted.steps(folder, settings, target=Target.of_counts(np.ones(8)))
    return made.run(trainer), made


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phased")
    trainer = PhasedTrainer()
    return folder, *search(folder, trainer), trainer


def test_a_search_of_phases_ends_with_a_schedule_over_the_budget(finished):
    folder, found, _, trainer = finished
    assert [phase.tokens for phase in found.schedule.phases] == list(phases.lengths((0.8, 0.2), sum(planted.TOKENS)))
    epochs = np.array(found.schedule.weights) * sum(planted.TOKENS) / np.array(planted.TOKENS)
    assert (epochs <= 4 + 1e-6).all()
    for name in ("natural", "uniform", "nearest", "entropy"):
        assert len(found.others[name].phases) == 1
    report = json.loads((folder / "report.json").read_text())
    told = report["recommended"]
    assert told["weights"] == list(found.schedule.weights)
    assert told["epochs"] == pytest.approx(epochs)
    assert [one["weights"] for one in told["phases"]] == [list(phase.weights) for phase in found.schedule.phases]
    assert [one["share"] for one in told["phases"]] == pytest.approx([0.8, 0.2])
    assert all(len(fit["recommended"]) == len(fit["mean_weights"]) == 8 for fit in report["rounds"])
    assert {trial.schedule.tokens for trial in trainer.trained} == {1000}
    keys = [trial.key for trial in trainer.trained]
    assert len(set(keys)) == len(keys)
    ours = [trial for trial in trainer.trained if trial.round in (1, 2)]
    assert {tuple(phase.tokens for phase in trial.schedule.phases) for trial in ours} == {(1000,), (800, 200)}
    assert sum(trial.name == "random" for trial in trainer.trained) < 14  # those of round 1 count


def test_a_table_of_a_search_of_phases_has_a_column_for_each_phase(finished, tmp_path):
    _, _, made, trainer = finished
    runs = of_outcomes(made.outcomes(), [f"bucket {number}" for number in range(8)], made.settings.phases)
    assert runs.buckets[0] == "phase 1 bucket 0"
    assert runs.buckets[-1] == "phase 2 bucket 7"
    for name, data in zip(("ratios.csv", "metrics.csv"), written(runs), strict=True):
        (tmp_path / name).write_bytes(data)
    assert np.allclose(read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv").weights, runs.weights)
    first = dict(zip(runs.keys, runs.weights, strict=True))[trainer.trained[-1].key]
    assert first.reshape(2, 8).sum(axis=0) == pytest.approx(trainer.trained[-1].schedule.weights)


@pytest.mark.parametrize("name", ["auto", "annealing", "remixing"])
def test_a_search_of_phases_killed_and_run_again_gives_the_same(finished, tmp_path, name):
    whole = finished[0] if name == "auto" else tmp_path / "whole"
    search(whole, PhasedTrainer(), strategy=name)
    with pytest.raises(Killed):
        search(tmp_path / "broken", PhasedTrainer(kill_after=12), strategy=name)
    search(tmp_path / "broken", PhasedTrainer(), strategy=name)
    assert planted.outputs(tmp_path / "broken") == planted.outputs(whole)


def test_the_exposure_predictor_sees_the_tokens_of_every_phase(tmp_path):
    for name in ("auto", "climb"):
        search(tmp_path / name, PhasedTrainer(), strategy=name, predictor="exposure", rounds=(12,))
        fit = json.loads((tmp_path / name / "fits" / "round-1.json").read_text())
        assert fit["predictor"].startswith("exposure: 12 runs, recency")


def test_without_phases_nothing_is_told_of_them():
    assert "phases" not in Search().chosen()
    assert "early" not in Search().chosen()
    assert SETTINGS.chosen()["phases"] == [0.8, 0.2]


def test_frozen_groups_keep_their_inner_shares_in_every_phase():
    groups = Groups.of(8, [((1, 3, 4), (2.0, 1.0, 1.0))])
    space, asked = groups.space(SPACES[4.0]), Phasing((0.8, 0.2), 2)
    start, pool = asked.drawn("auto", space, None, 20, 200, 1.0, 7)
    made = Frozen(groups, asked.strategy("auto", Problem(space, start, pool, 7)))
    rows = made.propose(History.empty(16), 12)
    again = made.propose(history(rows, np.ones(12, np.int64)), 6)
    for parts in (phases.parts_of(rows, 2), phases.parts_of(again, 2)):
        inner = parts[:, :, [1, 3, 4]]
        assert np.allclose(inner, inner.sum(axis=2, keepdims=True) * [0.5, 0.25, 0.25])
    fits(np.concatenate([rows, again]), (0.8, 0.2), SPACES[4.0])
    assert np.allclose(groups.expand(groups.reduce(rows)), rows)
