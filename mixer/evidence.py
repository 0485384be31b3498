"""What a search shows for its mixture: predicted beside measured, rank correlations, leaderboard, cost.

Plain values for JSON, from trials and predictions; nothing here reads or writes a file. A number that does not
exist (no predictor, a failed trial) is null.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted
from mixer.predictors.validation import Rows, cross_validated, rank_correlation
from mixer.runs import Objective, measured
from mixer.strategy import History
from mixer.trial import Result, Trial
from pipelines.errors import TrialError

LEADERS = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """A candidate of a round, what it was predicted to give (NaN: nothing), and what it gave (NaN: it failed)."""

    trial: Trial
    result: Result
    loss: float
    predicted: float
    spread: float
    values: Mapping[str, float]  # of each of its losses, in the objective's metrics


def outcome(trial: Trial, result: Result, objective: Objective, predicted: float, spread: float) -> Outcome:
    """A finished trial as the objective reads it."""
    values = {name: objective.value(name, loss) for name, loss in result.losses.items()}
    return Outcome(trial, result, measured(result, objective), predicted, spread, values)


def history(outcomes: Sequence[Outcome], num_buckets: int) -> History:
    """The successful ones, one for each key, in the order given; TrialError where all have failed."""
    kept = list({outcome.trial.key: outcome for outcome in outcomes if math.isfinite(outcome.loss)}.values())
    if not kept:
        if outcomes:
            raise TrialError(f"all {len(outcomes)} trials failed, the first: {outcomes[0].result.error}")
        return History.empty(num_buckets)
    names = set.intersection(*(set(outcome.values) for outcome in kept))
    return History(
        weights=np.array([outcome.trial.schedule.weights for outcome in kept]),
        losses=np.array([outcome.loss for outcome in kept]),
        rounds=np.array([outcome.trial.round for outcome in kept]),
        tasks={name: np.array([outcome.values[name] for outcome in kept]) for name in sorted(names)},
    )


def of_fit(
    number: int,
    *,
    history: History,
    recommended: Floats,
    fitted: Fitted | None,
    refit: Callable[[Rows], Fitted | None],
    outcomes: Sequence[Outcome],
) -> dict[str, Any]:
    """What is believed after round `number`, whose candidates' outcomes are given."""
    found: dict[str, Any] = {
        "round": number,
        "num_runs": len(history),
        "best_measured": float(history.losses.min()),
        "recommended": recommended.tolist(),
        "mean_weights": np.mean([outcome.trial.schedule.weights for outcome in outcomes], axis=0).tolist(),
        "rank_correlation_of_proposals": _of_proposals(outcomes),
    }
    if fitted is None:
        return found
    predicted, spread = fitted.predict(recommended[np.newaxis])

    def refitted(rows: Rows) -> Fitted:
        again = refit(rows)
        assert again is not None  # since a strategy predicts always or never
        return again

    tested = cross_validated(refitted, history.weights, history.losses)
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
    others: Mapping[str, Sequence[float]],
    parts: Mapping[str, Sequence[Outcome]],
    fits: Sequence[Mapping[str, Any]],
    unit: str = "nats",
) -> dict[str, Any]:
    """The report of a finished search. `parts`: the outcomes of the strategy, of the rules, of random search;
    `unit`: of the losses."""
    everything = [outcome for outcomes in parts.values() for outcome in outcomes]
    ranked = sorted(
        (outcome for outcome in everything if math.isfinite(outcome.loss)), key=lambda outcome: outcome.loss
    )
    rules = {outcome.trial.name: outcome.loss for outcome in parts.get("rules", ())}
    return {
        "recommended": recommended,
        "remark": _remark(recommended, rules, unit),
        "others": {
            name: {"weights": list(weights), "measured": finite(rules.get(name, math.nan))}
            for name, weights in others.items()
        },
        "rounds": fits,
        "leaderboard": [
            {"rank": rank, **_told(outcome), "weights": list(outcome.trial.schedule.weights)}
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
        "error": outcome.result.error,
    }


def _of_proposals(outcomes: Sequence[Outcome]) -> float | None:
    """Of what was predicted before a round and measured in it: harder than cross-validation, since all are good."""
    pairs = [(x.predicted, x.loss) for x in outcomes if math.isfinite(x.predicted) and math.isfinite(x.loss)]
    if len(pairs) < 3:
        return None
    predicted, losses = np.array(pairs).T
    return rank_correlation(predicted, losses)


def _cost(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Tokens and process seconds, each training once."""
    results = {outcome.result.key: outcome.result for outcome in outcomes}.values()
    return {
        "num_runs": len(results),
        "num_failed": sum(not math.isfinite(outcome.loss) for outcome in outcomes),
        "tokens": sum(result.tokens for result in results),
        "seconds": math.fsum(result.seconds for result in results),
    }


def _remark(recommended: Mapping[str, Any], rules: Mapping[str, float], unit: str) -> str:
    measured = {name: loss for name, loss in rules.items() if math.isfinite(loss)}
    predicted, spread = recommended["predicted"], recommended["spread"]
    if not measured or predicted is None:
        return "No rule was trained beside the search, or it predicts nothing: see the final comparison."
    name, loss = min(measured.items(), key=lambda item: item[1])
    numbers = f"predicted {predicted:.4f} +- {spread or 0:.4f} {unit}, {name} measured {loss:.4f} (one seed)"
    if predicted + (spread or 0) < loss:
        return f"On proxies the mixture found is ahead of the best rule: {numbers}. The final comparison decides."
    return f"On proxies the mixture found is not shown to beat the best rule: {numbers}."
