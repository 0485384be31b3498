"""Trials meet a trainer and a journal: what has not the loss that a search reads is a failure, and never stays."""

from pathlib import Path

import pytest

from mixer import journal
from mixer.runs import Objective, Part, loss_on, train_trials
from mixer.trial import Loss, Result, Schedule, Trial
from pipelines.errors import SettingsError, TrialError
from pipelines.search_settings import Proxy

SERVED = loss_on("search/a")
TRIALS = [Trial(Schedule.static((0.5, 0.5), 10), Proxy(), seed, "d", 1, seed) for seed in range(4)]


class Named:
    """Answers each trial with a loss of the name given for its index, else `search/a`."""

    def __init__(self, **names: str) -> None:
        self.names, self.trained = names, []

    def train(self, trials, on_result) -> None:
        for trial in trials:
            self.trained.append(trial.index)
            name = self.names.get(f"of_{trial.index}", "search/a")
            on_result(Result(trial.key, {name: Loss(3.0 + trial.index, 1.0)}, 10, 0.1))


def train(folder: Path, trainer: Named, objective: Objective = SERVED, max_failed: float = 0.0) -> None:
    train_trials(folder / "journal.jsonl", TRIALS, trainer=trainer, objective=objective, max_failed=max_failed)


def test_a_trial_without_the_loss_has_failed_and_is_trained_again(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"1 of 4 trials failed.*no loss named search/a in the results; there are: b"):
        train(tmp_path, Named(of_2="b"))
    again = Named()
    train(tmp_path, again)
    assert again.trained == [2, 3]
    assert not [entry for entry in journal.read(tmp_path / "journal.jsonl") if entry.result.failed]


def test_within_what_is_allowed_it_is_left_out(tmp_path: Path) -> None:
    train(tmp_path, Named(of_1="b"), max_failed=0.3)
    failed = [entry for entry in journal.read(tmp_path / "journal.jsonl") if entry.result.failed]
    assert [(entry.trial.index, entry.result.error[:23]) for entry in failed] == [(1, "no loss named search/a ")]


def test_a_loss_that_no_trial_has_ends_the_round_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    trainer = Named(of_0="b", of_1="b")
    with pytest.raises(SettingsError, match="no loss named search/a"):
        train(tmp_path, trainer, max_failed=1.0)
    assert trainer.trained == [0]
    assert not journal.read(tmp_path / "journal.jsonl")
    with pytest.raises(SettingsError, match="there is no accuracy, only nats"):
        train(tmp_path, Named(), Objective((Part("search/a", 1.0, "accuracy"),)))
    train(tmp_path, Named())
