import json
import math

import numpy as np
import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import Killed, PlantedTrainer
from scipy import stats

from mixer.comparison import Noise, compare, judged, noise_of, scaled, verdict
from mixer.runs import loss_on
from mixer.trial import Phase, Schedule
from pipelines.errors import SettingsError
from pipelines.search_settings import Proxy, Search

SETTINGS = Search(tokens=1000, final_tokens=4000, final_seeds=3)
MIXTURES = {
    "climb": Schedule.static(planted.BEST, 77),
    "natural": Schedule.static(np.array(planted.TOKENS) / sum(planted.TOKENS), 77),
    "uniform": Schedule.static(np.full(8, 1 / 8), 77),
}


def compared(folder, trainer, settings=SETTINGS, mixtures=MIXTURES):
    return compare(
        folder,
        mixtures,
        proxy=Proxy(),
        settings=settings,
        data="digest",
        trainer=trainer,
        objective=loss_on("narrow/final"),
    )


def of_two(ours, theirs):
    return judged({"climb": ours, "nearest": theirs}, seeds=range(len(ours)), tokens=1).verdicts[0]


@given(st.lists(st.tuples(st.floats(1, 9), st.floats(1, 9)), min_size=2, max_size=8))
def test_of_two_mixtures_the_verdict_is_the_paired_t_interval(pairs):
    ours, theirs = zip(*pairs, strict=True)
    differences = np.array(theirs) - np.array(ours)
    if differences.std() < 1e-6:
        return
    found = of_two(ours, theirs)
    low, high = stats.t.interval(0.95, len(pairs) - 1, differences.mean(), stats.sem(differences))
    assert found.interval == pytest.approx((low, high), abs=1e-9)
    assert found.standard_error == pytest.approx(stats.sem(differences))
    swapped = {"beats": "worse", "worse": "beats"}
    assert of_two(theirs, ours).outcome == swapped.get(found.outcome, found.outcome)


def test_noise_is_the_residual_of_randomised_blocks():
    table = np.random.default_rng(0).normal(3, 0.1, (5, 4))
    residual = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    found = noise_of(table)
    assert found.degrees == 12
    assert found.std == pytest.approx(np.sqrt((residual**2).sum() / 12))
    shifted = table + np.arange(4) + 10 * np.arange(5)[:, None]  # effects of seeds and of mixtures drop out
    assert noise_of(shifted).std == pytest.approx(found.std)
    table[2, 1] = np.nan
    assert noise_of(table).degrees == 11
    assert noise_of(table[:, :1]).degrees == 0


def test_verdict_texts():
    noise = Noise(0.01, 10)
    ours, theirs = [3.0, 3.1, 3.2], [3.51, 3.6, 3.69]
    assert verdict(ours, theirs, noise, name="climb", other="nearest").text == (
        "climb beats nearest by 0.5000 nats; interval +0.4818 to +0.5182, 3 paired seeds"
    )
    assert verdict(theirs, ours, noise, name="climb", other="nearest").text.startswith(
        "climb is worse than nearest by 0.5000 nats"
    )
    assert verdict(ours, [3.01, 3.1, 3.2], noise, name="climb", other="nearest").text.startswith(
        "climb against nearest: no difference shown (climb is 0.0033 nats ahead)"
    )


def test_what_seeds_share_drops_out():
    # Seeds move both mixtures by half a nat; unpaired, nothing could be seen.
    ours, theirs = [3.0, 3.5, 4.0], [3.05, 3.56, 4.04]
    assert of_two(ours, theirs).outcome == "beats"
    assert stats.ttest_ind(ours, theirs).pvalue > 0.5


def test_one_seed_or_equal_runs_show_nothing():
    alone = of_two([3.0], [9.0])
    assert alone.outcome == "no difference shown"
    assert "1 paired runs do not show their noise" in alone.text
    assert of_two([3.0, 3.0], [3.0, 3.0]).outcome == "no difference shown"
    failed = of_two([3.0, math.nan, 3.1], [3.5, 3.6, math.nan])
    assert failed.num_pairs == 1
    assert failed.outcome == "no difference shown"


def test_false_alarms_are_as_rare_as_promised():
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(2000):
        seeds = random.standard_normal(3)
        losses = {str(name): seeds + random.standard_normal(3) for name in range(6)}
        found = judged(losses, seeds=range(3), tokens=1)
        alarms += any(one.outcome != "no difference shown" for one in found.verdicts)
    assert 0.02 < alarms / 2000 < 0.055  # of all five comparisons together


def test_paired_seeds_at_the_final_budget(tmp_path):
    trainer = PlantedTrainer()
    found = compared(tmp_path, trainer)
    assert {trial.schedule.tokens for trial in trainer.trained} == {4000}
    assert {trial.seed for trial in trainer.trained} == set(found.seeds)
    assert SETTINGS.seed not in found.seeds
    assert len(trainer.trained) == 9
    for name, schedule in MIXTURES.items():
        mean = np.mean(found.losses[name])
        assert mean == pytest.approx(planted.loss(schedule.weights), abs=0.06)
    assert [verdict.other for verdict in found.verdicts] == ["natural", "uniform"]
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written == json.loads(json.dumps(found.to_json()))
    assert written["mixtures"]["natural"]["spread"] == pytest.approx(np.std(found.losses["natural"], ddof=1))
    assert found.text.count("\n") == 2


def test_killed_and_run_again_gives_the_same(tmp_path):
    with pytest.raises(Killed):
        compared(tmp_path / "killed", PlantedTrainer(kill_after=5))
    again = PlantedTrainer()
    assert compared(tmp_path / "killed", again) == compared(tmp_path / "whole", PlantedTrainer())
    assert len(again.trained) == 4


def test_a_mixture_that_equals_another_is_trained_once(tmp_path):
    trainer = PlantedTrainer()
    found = compared(tmp_path, trainer, mixtures={**MIXTURES, "nearest": MIXTURES["climb"]})
    assert len(trainer.trained) == 9
    assert found.verdicts[-1].outcome == "no difference shown"
    assert found.verdicts[-1].difference == 0
    assert found.noise == compared(tmp_path, trainer).noise


def test_a_failed_run_costs_its_pair(tmp_path):
    trainer = PlantedTrainer(fails=lambda trial: trial.name == "uniform" and trial.round == 1)
    found = compared(tmp_path, trainer)
    assert [verdict.num_pairs for verdict in found.verdicts] == [3, 2]
    assert found.to_json()["mixtures"]["uniform"]["losses"][1] is None
    assert found.to_json()["mixtures"]["uniform"]["num_runs"] == 2


def test_nothing_to_compare_with():
    with pytest.raises(SettingsError, match="at least one other"):
        judged({"climb": [3.0, 3.1]}, seeds=(1, 2), tokens=10)


def test_scaling_keeps_the_shares_of_phases():
    schedule = Schedule((Phase(3, (1.0, 0.0)), Phase(1, (0.0, 1.0)), Phase(2, (0.5, 0.5))))
    assert [phase.tokens for phase in scaled(schedule, 1000).phases] == [500, 167, 333]
    assert [phase.weights for phase in scaled(schedule, 1000).phases] == [p.weights for p in schedule.phases]
    assert scaled(scaled(schedule, 6000), 6) == schedule
