"""Training what a journal lacks: the one place where trials meet a trainer, for searches and comparisons alike."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mixer.journal import Entry, Journal
from mixer.proxies.trainer import Trainer
from mixer.trial import Loss, Result, Trial
from pipelines.errors import SettingsError, TrialError

UNITS = {
    "nats": "nats",
    "bits_per_byte": "bits per byte",
    "accuracy": "in accuracy",
    "accuracy_norm": "in normalised accuracy",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """A trial has finished: `done` of the `total` in its round, and the lowest loss of that round so far."""

    trial: Trial
    result: Result
    loss: float  # NaN where the trial failed
    best: float  # of trials of as many tokens; NaN before the first success
    done: int
    total: int


def no_progress(progress: Progress) -> None:
    """For callers that do not watch."""


@dataclass(frozen=True, slots=True)
class Part:
    """What an objective weighs: a loss of the results by its name, and the metric that is read of it."""

    name: str
    weight: float
    metric: str = "nats"


@dataclass(frozen=True, slots=True)
class Objective:
    """What a search minimises: the weighted mean of its parts, of a successful result."""

    parts: tuple[Part, ...]

    def __call__(self, result: Result) -> float:
        """SettingsError where the result lacks a part."""
        if lacking := self.lacking(result):
            raise SettingsError(lacking)
        values = [part.weight * self.value(part.name, result.losses[part.name]) for part in self.parts]
        return math.fsum(values) / math.fsum(part.weight for part in self.parts)

    def lacking(self, result: Result) -> str:
        """Which part a successful result does not have, in words; empty where all are there."""
        missing = [part.name for part in self.parts if part.name not in result.losses]
        if missing:
            return f"no loss named {', '.join(missing)} in the results; there are: {', '.join(result.losses)}"
        try:
            for name in self.names:
                self.value(name, result.losses[name])
        except ValueError as error:
            return f"{', '.join(self.names)} of trial {result.key}: {error}"
        return ""

    def value(self, name: str, loss: Loss) -> float:
        """A loss as this objective reads it; in nats where it is no part."""
        metric = next((part.metric for part in self.parts if part.name == name), "nats")
        return loss.value(metric)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    @property
    def weights(self) -> tuple[float, ...]:
        return tuple(part.weight for part in self.parts)

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset(part.metric for part in self.parts)

    @property
    def unit(self) -> str:
        """What its values are counted in, as a sentence says it."""
        return UNITS[min(self.metrics)] if len(self.metrics) == 1 else "in the weighted mean"


def loss_on(*names: str) -> Objective:
    """Mean nats over the held-out texts of these names."""
    return Objective(tuple(Part(name, 1.0) for name in names))


def measured(result: Result, objective: Objective) -> float:
    """The objective of a result; NaN where the trial failed or diverged."""
    if result.failed:
        return math.nan
    loss = objective(result)
    return loss if math.isfinite(loss) else math.nan


def train_trials(
    journal_path: Path,
    trials: Sequence[Trial],
    *,
    trainer: Trainer,
    objective: Objective,
    max_failed: float,
    progress: Callable[[Progress], None] = no_progress,
) -> None:
    """Train the trials that the journal lacks; each result is on disk before the next is awaited.

    Trials of one key are trained once. Failures are journalled and stay failed, so that a resumed round ends as
    an unbroken one; where more than a share `max_failed` of the round failed, TrialError stops it, and running
    again trains the failed ones again. A result without the objective's loss is a failure too; where no trial of
    the round has it yet, SettingsError stops the round, and nothing is journalled that could never be read.
    """
    by_key: dict[str, Trial] = {}
    for trial in trials:
        by_key.setdefault(trial.key, trial)
    limit = max_failed * len(by_key)
    with Journal(journal_path) as journal:
        losses = {key: measured(entry.result, objective) for key in by_key if (entry := journal.get(key))}
        if len(_failed(losses)) > limit:
            losses = {key: loss for key, loss in losses.items() if math.isfinite(loss)}

        def on_result(result: Result) -> None:
            if result.key not in by_key:
                raise TrialError(f"the trainer gave a result for {result.key}, which nobody asked for")
            trial = by_key[result.key]
            if not result.failed and (lacking := objective.lacking(result)):
                if not any(map(math.isfinite, losses.values())):
                    raise SettingsError(lacking)
                result = replace(result, error=lacking)
            journal.record(trial, result)
            losses[result.key] = loss = measured(result, objective)
            tokens = trial.schedule.tokens
            alike = [other for key, other in losses.items() if by_key[key].schedule.tokens == tokens]
            finite = [other for other in alike if math.isfinite(other)]
            best = min(finite, default=math.nan)
            progress(Progress(trial, result, loss, best, len(losses), len(by_key)))
            if len(_failed(losses)) > limit:
                raise TrialError(_told(trial, result, len(_failed(losses)), len(by_key), journal_path))

        missing = [trial for key, trial in by_key.items() if key not in losses]
        if missing:
            trainer.train(missing, on_result)
        lost = [key for key in by_key if key not in losses]
        if lost:
            raise TrialError(f"the trainer ended without a result for {len(lost)} trials, the first {lost[0]}")


def results(entries: Sequence[Entry]) -> Mapping[str, Result]:
    """Results by key."""
    return {entry.result.key: entry.result for entry in entries}


def _failed(losses: Mapping[str, float]) -> list[str]:
    return [key for key, loss in losses.items() if not math.isfinite(loss)]


def _told(trial: Trial, result: Result, num_failed: int, num: int, path: Path) -> str:
    reason = (result.error or "its loss is not a number").strip().splitlines()[-1]
    return (
        f"{num_failed} of {num} trials failed in round {trial.round}, more than search.max_failed allows;"
        f" the last one, {trial.name} {trial.index}: {reason}. All are in {path}; running again trains them again"
    )
