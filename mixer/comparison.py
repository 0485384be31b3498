"""The last word: the mixture found and those it must beat, trained with paired seeds, on held-out documents that
the search never saw.

Every mixture is trained once for each seed. A seed fixes initial weights and the order of the data, so what it
does to all mixtures alike drops out of differences taken seed by seed. How much is left to chance is estimated
from all runs together: what remains of the losses after the means of mixtures and of seeds (randomised blocks,
with the same noise for every mixture). "Beats" is said only where the t interval of the mean paired difference
lies above zero, at 95 % for all comparisons together (Bonferroni). With six mixtures and three seeds that asks
for 2.6 standard deviations of one run; each pair by itself would ask for 3.5, and be wrong more often over five.
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mixer.journal import read, write_whole
from mixer.proxies.trainer import Trainer
from mixer.runs import Objective, Progress, measured, no_progress, results, train_trials
from mixer.trial import Phase, Schedule, Trial
from pipelines.errors import SettingsError
from pipelines.search_settings import Proxy, Search

CONFIDENCE = 0.95

Outcome = Literal["beats", "worse", "no difference shown"]


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of one run's loss, beside what its mixture and its seed do; and how well it is known."""

    std: float  # NaN without degrees of freedom
    degrees: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Paired comparison with one other mixture. `difference`: its loss minus ours, so that positive is better."""

    name: str
    other: str
    outcome: Outcome
    difference: float
    standard_error: float  # NaN where the noise is unknown, and so the interval
    interval: tuple[float, float]
    num_pairs: int
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Losses of every mixture by seed (NaN: failed), in `unit`, and a verdict on each other one."""

    losses: dict[str, tuple[float, ...]]
    seeds: tuple[int, ...]
    tokens: int
    noise: Noise
    verdicts: tuple[Verdict, ...]
    unit: str = "nats"

    @property
    def text(self) -> str:
        """A line for each verdict, and what their intervals mean."""
        lines = [verdict.text for verdict in self.verdicts]
        if self.noise.degrees:
            lines.append(f"(intervals hold together at 95 %; one run varies by {self.noise.std:.4f} {self.unit})")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "seeds": list(self.seeds),
            **({"unit": self.unit} if self.unit != "nats" else {}),
            "noise": {"std": _finite(self.noise.std), "degrees": self.noise.degrees},
            "mixtures": {name: _summary(losses) for name, losses in self.losses.items()},
            "verdicts": [
                {
                    "name": verdict.name,
                    "other": verdict.other,
                    "outcome": verdict.outcome,
                    "difference": _finite(verdict.difference),
                    "standard_error": _finite(verdict.standard_error),
                    "interval": [_finite(bound) for bound in verdict.interval],
                    "num_pairs": verdict.num_pairs,
                    "text": verdict.text,
                }
                for verdict in self.verdicts
            ],
        }


def compare(
    folder: Path,
    mixtures: Mapping[str, Schedule],
    *,
    proxy: Proxy,
    settings: Search,
    data: str,
    trainer: Trainer,
    objective: Objective,
    progress: Callable[[Progress], None] = no_progress,
) -> Comparison:
    """Train every mixture `final_seeds` times and judge the first against each of the others.

    `objective` reads the part of the target that the search did not see. Phases keep their shares of the final
    budget. Resumes from folder/journal.jsonl; writes folder/comparison.json.
    """
    tokens = settings.final_tokens or settings.tokens
    # None of the search's seeds: its winner was chosen on their luck.
    seeds = tuple(settings.seed + settings.seeds + index for index in range(settings.final_seeds))
    schedules = {name: scaled(schedule, tokens) for name, schedule in mixtures.items()}
    trials = {
        (name, seed): Trial(schedule, proxy, seed, data, round=row, index=column, name=name)
        for row, seed in enumerate(seeds)
        for column, (name, schedule) in enumerate(schedules.items())
    }
    journal = folder / "journal.jsonl"
    train_trials(
        journal,
        list(trials.values()),
        trainer=trainer,
        objective=objective,
        max_failed=settings.max_failed,
        progress=progress,
    )
    known = results(read(journal))
    losses = {name: tuple(measured(known[trials[name, seed].key], objective) for seed in seeds) for name in mixtures}
    found = judged(losses, seeds=seeds, tokens=tokens, unit=objective.unit)
    write_whole(folder / "comparison.json", json.dumps(found.to_json(), indent=1, allow_nan=False).encode() + b"\n")
    return found


def judged(
    losses: Mapping[str, Sequence[float]], *, seeds: Sequence[int], tokens: int, unit: str = "nats"
) -> Comparison:
    """The first mixture against each of the others."""
    if len(losses) < 2:
        raise SettingsError(f"{len(losses)} mixtures: a comparison needs the one found and at least one other")
    name, *others = losses
    # A mixture that equals another is the same runs twice, and tells the noise once.
    noise = noise_of(list(dict.fromkeys(tuple(row) for row in losses.values())))
    confidence = 1 - (1 - CONFIDENCE) / len(others)
    verdicts = tuple(
        verdict(losses[name], losses[other], noise, name=name, other=other, confidence=confidence, unit=unit)
        for other in others
    )
    return Comparison({key: tuple(row) for key, row in losses.items()}, tuple(seeds), tokens, noise, verdicts, unit)


def noise_of(losses: Sequence[Sequence[float]]) -> Noise:
    """What is left of (mixtures, seeds) losses after the means of both; failed runs (NaN) are left out."""
    table = np.asarray(losses, np.float64)
    row, column = np.nonzero(np.isfinite(table))
    design = np.concatenate([np.eye(table.shape[0])[row], np.eye(table.shape[1])[column]], axis=1)
    values = table[row, column]
    effects, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    degrees = len(values) - int(rank)
    if not degrees:
        return Noise(math.nan, 0)
    return Noise(math.sqrt(float(np.sum((values - design @ effects) ** 2)) / degrees), degrees)


def verdict(
    ours: Sequence[float],
    theirs: Sequence[float],
    noise: Noise,
    *,
    name: str,
    other: str,
    confidence: float = CONFIDENCE,
    unit: str = "nats",
) -> Verdict:
    """Judge paired losses, (seeds,) each, by the noise of one run or, where it is larger, of their own differences.

    Pairs with a failed run (NaN) are left out.
    """
    differences = [b - a for a, b in zip(ours, theirs, strict=True) if math.isfinite(a) and math.isfinite(b)]
    num = len(differences)
    mean = statistics.fmean(differences) if num else math.nan
    if not num or not noise.degrees:
        text = f"{name} against {other}: no difference shown, since {num} paired runs do not show their noise"
        return Verdict(name, other, "no difference shown", mean, math.nan, (math.nan, math.nan), num, text)
    # Mixtures that resemble each other share their noise by seed, which pulls the pooled figure down: a pair whose
    # own differences scatter more is judged by those.
    own = statistics.stdev(differences) / math.sqrt(2) if num > 1 else 0.0
    error = max(noise.std, own) * math.sqrt(2 / num)
    margin = _t_multiple(noise.degrees, confidence) * error
    low, high = mean - margin, mean + margin
    outcome: Outcome = "beats" if low > 0 else "worse" if high < 0 else "no difference shown"
    said = {
        "beats": f"{name} beats {other} by {mean:.4f} {unit}",
        "worse": f"{name} is worse than {other} by {-mean:.4f} {unit}",
        "no difference shown": f"{name} against {other}: no difference shown"
        f" ({name if mean >= 0 else other} is {abs(mean):.4f} {unit} ahead)",
    }
    if list(ours) == list(theirs):
        said[outcome] = f"{name} against {other}: no difference, since both are the same mixture and the same runs"
    text = f"{said[outcome]}; interval {low:+.4f} to {high:+.4f}, {num} paired seeds"
    return Verdict(name, other, outcome, mean, error, (low, high), num, text)


def scaled(schedule: Schedule, tokens: int) -> Schedule:
    """The same phases at another budget, their lengths in proportion; the last takes what rounding leaves."""
    ends = [
        round(tokens * sum(phase.tokens for phase in schedule.phases[: index + 1]) / schedule.tokens)
        for index in range(len(schedule.phases))
    ]
    starts = [0, *ends[:-1]]
    return Schedule(
        tuple(
            Phase(end - begin, phase.weights) for begin, end, phase in zip(starts, ends, schedule.phases, strict=True)
        )
    )


def _t_multiple(degrees: int, confidence: float) -> float:
    """Standard errors on either side of the mean that Student's t puts in the interval."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))


def _summary(losses: Sequence[float]) -> dict[str, Any]:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return {
        "losses": [_finite(loss) for loss in losses],
        "mean": statistics.fmean(finite) if finite else None,
        "spread": statistics.stdev(finite) if len(finite) > 1 else None,
        "num_runs": len(finite),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
