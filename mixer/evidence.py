"""What a search shows for its mixture: predicted beside measured, rank correlations, leaderboard, cost.

Plain values for JSON, from trials and predictions; nothing here reads or writes a file. A number that does not
exist (no predictor, a failed trial) is null.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixer import phases
from mixer.candidates import Floats
from mixer.prediction import Fitted
from mixer.predictors.validation import REPEATS, Rows, cross_validated, rank_correlation
from mixer.runs import Objective, measured
from mixer.strategy import History
from mixer.trial import Result, Schedule, Trial
from pipelines.errors import TrialError

LEADERS = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """A candidate of a round, what it was predicted to give (NaN: nothing), and what it gave (NaN: it failed)."""

    trial: Trial  # of the first seed
    results: tuple[Result, ...]  # of all its seeds
    by_seed: tuple[float, ...]
    predicted: float
    spread: float
    values: Mapping[str, float]  # of each of its losses, in the objective's metrics, the mean over seeds
    fidelity: float = 1.0  # the share of the tokens that it was trained on; what is predicted is for all of them

    @property
    def loss(self) -> float:
        """The mean over seeds; NaN where one failed, since means of different seeds are not paired."""
        return math.fsum(self.by_seed) / len(self.by_seed)

    @property
    def error(self) -> str:
        return next((result.error for result in self.results if result.error), "")


def outcome(
    trial: Trial,
    results: Sequence[Result],
    objective: Objective,
    predicted: float,
    spread: float,
    fidelity: float = 1.0,
) -> Outcome:
    """A finished trial, of one or more seeds, as the objective reads it."""
    names = [name for name in results[0].losses if all(name in result.losses for result in results)]
    values = {
        name: math.fsum(objective.value(name, result.losses[name]) for result in results) / len(results)
        for name in names
    }
    by_seed = tuple(measured(result, objective) for result in results)
    return Outcome(trial, tuple(results), by_seed, predicted, spread, values, fidelity)


def history(outcomes: Sequence[Outcome], num_buckets: int, num_phases: int = 1) -> History:
    """The successful ones, one for each key, in the order given, and what failed; TrialError where all have.

    Rows are the weights of all phases, one after the other; of one phase, those of all tokens.
    """
    kept = list({outcome.trial.key: outcome for outcome in outcomes if math.isfinite(outcome.loss)}.values())
    if not kept:
        if outcomes:
            raise TrialError(f"all {len(outcomes)} trials failed, the first: {outcomes[0].error}")
        return History.empty(num_phases * num_buckets)
    names = set.intersection(*(set(outcome.values) for outcome in kept))
    failed = [outcome for outcome in outcomes if not math.isfinite(outcome.loss)]
    return History(
        weights=np.array([phases.row_of(outcome.trial.schedule, num_phases) for outcome in kept]),
        losses=np.array([outcome.loss for outcome in kept]),
        rounds=np.array([outcome.trial.round for outcome in kept]),
        tasks={name: np.array([outcome.values[name] for outcome in kept]) for name in sorted(names)},
        fidelities=np.array([outcome.fidelity for outcome in kept]),
        failed=np.array([phases.row_of(outcome.trial.schedule, num_phases) for outcome in failed]),
    )


def of_fit(
    number: int,
    *,
    history: History,
    recommended: Floats,
    shares: Sequence[float] = (),
    fitted: Fitted | None,
    refit: Callable[[Rows], Fitted | None],
    outcomes: Sequence[Outcome],
) -> dict[str, Any]:
    """What is believed after round `number`, whose candidates' outcomes are given; `shares` of phases, if any."""
    schedule = phases.schedule(recommended, shares, outcomes[0].trial.schedule.tokens)
    whole, cheap = (np.flatnonzero((history.fidelities == 1) == wanted) for wanted in (True, False))
    found: dict[str, Any] = {
        "round": number,
        "num_runs": len(history),
        "best_measured": float(history.losses[whole].min()) if len(whole) else None,
        "recommended": list(schedule.weights),
        **phases.told(schedule),
        "mean_weights": np.mean([outcome.trial.schedule.weights for outcome in outcomes], axis=0).tolist(),
        "rank_correlation_of_proposals": _of_proposals(outcomes),
    }
    if fitted is None:
        return found
    predicted, spread = fitted.predict(recommended[np.newaxis])

    def refitted(rows: Rows) -> Fitted:
        again = refit(np.concatenate([whole[rows], cheap]))  # cheap trials are there to tell of whole ones
        assert again is not None  # since a strategy predicts always or never
        return again

    # Cheap trials are many, and fits to them are slow.
    repeats = 1 if len(cheap) else REPEATS
    tested = cross_validated(refitted, history.weights[whole], history.losses[whole], repeats=repeats)
    return found | {
        "predictor": fitted.note,
        "predicted": finite(float(predicted[0])),
        "spread": finite(float(spread[0])),
        "cross_validation": {
            "spearman": finite(tested.spearman),
            "spearman_spread": finite(tested.spearman_spread),
            "rmse": finite(tested.rmse),
            "chance": finite(tested.chance),
            "better_than_chance": tested.better_than_chance,
        },
    }


def of_search(
    *,
    recommended: Mapping[str, Any],
    others: Mapping[str, Schedule],
    parts: Mapping[str, Sequence[Outcome]],
    fits: Sequence[Mapping[str, Any]],
    unit: str = "nats",
) -> dict[str, Any]:
    """The report of a finished search. `parts`: the outcomes of the strategy, of the rules, of random search;
    `unit`: of the losses."""
    everything = [outcome for outcomes in parts.values() for outcome in outcomes]
    ranked = sorted(
        (outcome for outcome in everything if math.isfinite(outcome.loss) and outcome.fidelity == 1),
        key=lambda outcome: outcome.loss,
    )
    rules = {outcome.trial.name: outcome.loss for outcome in parts.get("rules", ())}
    seeds = max((len(outcome.by_seed) for outcome in everything), default=1)
    return {
        "recommended": recommended,
        "remark": _remark(recommended, rules, unit, seeds),
        "others": {
            name: {
                "weights": list(schedule.weights),
                **phases.told(schedule),
                "measured": finite(rules.get(name, math.nan)),
            }
            for name, schedule in others.items()
        },
        "rounds": fits,
        "leaderboard": [
            {
                "rank": rank,
                **_told(outcome),
                "weights": list(outcome.trial.schedule.weights),
                **phases.told(outcome.trial.schedule),
            }
            for rank, outcome in enumerate(ranked[:LEADERS], 1)
        ],
        "trials": [_told(outcome) for outcome in everything],
        "cost": {name: _cost(outcomes) for name, outcomes in parts.items()},
    }


def finite(value: float) -> float | None:
    """The number, or null for JSON."""
    return value if math.isfinite(value) else None


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.trial.name,
        "round": outcome.trial.round,
        "index": outcome.trial.index,
        "key": outcome.trial.key,
        "loss": finite(outcome.loss),
        "predicted": finite(outcome.predicted),
        "spread": finite(outcome.spread),
        "error": outcome.error,
        **({"fidelity": outcome.fidelity} if outcome.fidelity != 1 else {}),
        **({"by_seed": [finite(loss) for loss in outcome.by_seed]} if len(outcome.by_seed) > 1 else {}),
    }


def _of_proposals(outcomes: Sequence[Outcome]) -> float | None:
    """Of what was predicted before a round and measured in it: harder than cross-validation, since all are good."""
    whole = [outcome for outcome in outcomes if outcome.fidelity == 1]
    pairs = [(x.predicted, x.loss) for x in whole if math.isfinite(x.predicted) and math.isfinite(x.loss)]
    if len(pairs) < 3:
        return None
    predicted, losses = np.array(pairs).T
    return rank_correlation(predicted, losses)


def _cost(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Tokens and process seconds, each training once; trials taken from other searches are counted apart."""
    runs = {
        result.key: (result, loss)
        for outcome in outcomes
        for result, loss in zip(outcome.results, outcome.by_seed, strict=True)
    }
    trained = [(result, loss) for result, loss in runs.values() if not result.taken_from]
    num_taken = len(runs) - len(trained)
    return {
        "num_runs": len(trained),
        **({"num_taken": num_taken} if num_taken else {}),
        "num_failed": sum(not math.isfinite(loss) for _, loss in trained),
        "tokens": sum(result.tokens for result, _ in trained),
        "seconds": math.fsum(result.seconds for result, _ in trained),
    }


def _remark(recommended: Mapping[str, Any], rules: Mapping[str, float], unit: str, seeds: int) -> str:
    measured = {name: loss for name, loss in rules.items() if math.isfinite(loss)}
    predicted, spread = recommended["predicted"], recommended["spread"]
    if not measured or predicted is None:
        return "No rule was trained beside the search, or it predicts nothing: see the final comparison."
    name, loss = min(measured.items(), key=lambda item: item[1])
    runs = "one seed" if seeds == 1 else f"mean of {seeds} seeds"
    numbers = f"predicted {predicted:.4f} +- {spread or 0:.4f} {unit}, {name} measured {loss:.4f} ({runs})"
    if predicted + (spread or 0) < loss:
        return f"On proxies the mixture found is ahead of the best rule: {numbers}. The final comparison decides."
    return f"On proxies the mixture found is not shown to beat the best rule: {numbers}."
