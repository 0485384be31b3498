"""Trials that fail, and trainers that do not keep their word: what it costs a search, and what is told."""

import json
from functools import partial

import numpy as np
import planted
import pytest
from planted import PlantedTrainer, outputs

from mixer.journal import read
from mixer.runs import loss_on, train_trials
from mixer.trial import Schedule, Trial
from pipelines.errors import LeaseError, SettingsError, TrialError
from pipelines.search_settings import Proxy, Search

SETTINGS = Search(strategy="climb", rounds=(20, 10, 5), tokens=1000, candidates=5000)


def search(folder, trainer, settings=SETTINGS, **changes):
    return planted.search(folder, trainer, settings, **changes)


def test_a_few_failures_are_journalled_and_left_out(tmp_path):
    trainer = PlantedTrainer(fails=lambda trial: trial.round in (1, 2) and trial.index % 7 == 3)
    search(tmp_path, trainer)
    failed = [entry.trial for entry in read(tmp_path / "journal.jsonl") if entry.result.failed]
    assert [(trial.round, trial.index) for trial in failed] == [(1, 3), (1, 10), (1, 17), (2, 3)]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["cost"]["climb"]["num_failed"] == 4
    assert [fit["num_runs"] for fit in report["rounds"]] == [17, 26, 31]
    before = outputs(tmp_path)
    # They stay failed: a resumed search ends as the unbroken one, even where they would work now.
    again = PlantedTrainer()
    search(tmp_path, again)
    assert again.trained == []
    assert outputs(tmp_path) == before


def test_too_many_failures_stop_the_round_and_are_trained_again(tmp_path):
    trainer = PlantedTrainer(fails=lambda trial: trial.round == 2)
    with pytest.raises(TrialError, match=r"3 of 10 trials failed in round 2.*climb 2: out of memory.*journal"):
        search(tmp_path, trainer)
    search(tmp_path, PlantedTrainer())
    search(tmp_path / "unbroken", PlantedTrainer())
    assert outputs(tmp_path) == outputs(tmp_path / "unbroken")


def test_all_failed_with_every_failure_allowed(tmp_path):
    settings = Search(**{**SETTINGS.model_dump(), "max_failed": 1.0})
    with pytest.raises(TrialError, match="all 20 trials failed, the first: out of memory"):
        search(tmp_path, PlantedTrainer(fails=lambda trial: True), settings)


def test_objective_that_the_trainer_does_not_measure(tmp_path):
    with pytest.raises(SettingsError, match=r"no loss named broad/search.*narrow/search, narrow/final"):
        search(tmp_path, PlantedTrainer(), objective=loss_on("broad/search"))


def test_trainers_that_do_not_keep_their_word(tmp_path):
    trials = [Trial(Schedule.static((0.5, 0.5), 10), Proxy(), seed, "d", 1, seed) for seed in range(3)]
    train = partial(train_trials, objective=loss_on("narrow/search"), max_failed=0.0)

    class Silent(PlantedTrainer):
        def train(self, trials, on_result):
            on_result(self.result(trials[0]))

    topics = np.ones((2, 8)) / 8
    with pytest.raises(TrialError, match="without a result for 2 trials"):
        train(tmp_path / "a.jsonl", trials, trainer=Silent(topics))

    class Confused(PlantedTrainer):
        def train(self, trials, on_result):
            on_result(self.result(Trial(trials[0].schedule, Proxy(), 99, "d", 1, 0)))

    with pytest.raises(TrialError, match="nobody asked for"):
        train(tmp_path / "b.jsonl", trials, trainer=Confused(topics))

    class Nested(PlantedTrainer):
        def train(self, trials, on_result):
            train(tmp_path / "c.jsonl", trials, trainer=PlantedTrainer(topics))

    with pytest.raises(LeaseError):
        train(tmp_path / "c.jsonl", trials, trainer=Nested(topics))


def test_progress_counts_each_trial_of_the_round(tmp_path):
    seen = []
    search(tmp_path, PlantedTrainer(fails=lambda trial: trial.index == 1), progress=seen.append,
           settings=Search(**{**SETTINGS.model_dump(), "max_failed": 0.3}))  # fmt: skip
    first = [one for one in seen if one.trial.round == 1]
    assert [(one.done, one.total) for one in first] == [(index, 20) for index in range(1, 21)]
    assert np.isnan(first[1].loss)
    assert first[-1].best == min(one.loss for one in first if np.isfinite(one.loss))
