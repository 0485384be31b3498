"""What the plots of a search show, as plain values: the page draws them as SVG, Dagster as small pictures.

A trial is a mapping with `name`, `round`, `index`, `loss`, `predicted` (null: none), as report.json holds it; one that
was not trained on all tokens has a `fidelity`, and is left out where losses are compared. `drawn` are the trials of
round 1 that random search begins with too.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Trials = Sequence[Mapping[str, Any]]
Points = list[tuple[float, float]]


def whole(trials: Trials) -> list[Mapping[str, Any]]:
    """Those that were trained on all tokens."""
    return [trial for trial in trials if trial.get("fidelity", 1) == 1]


def of_search(trials: Trials, num_rounds: int) -> list[Mapping[str, Any]]:
    """The strategy's own trials, in the order in which they were proposed."""
    return _ordered([trial for trial in whole(trials) if 1 <= trial["round"] <= num_rounds])


def of_random(trials: Trials, num_rounds: int) -> list[Mapping[str, Any]]:
    """Random search's: what it shares with round 1, then its own; [] where it has none of its own."""
    further = [trial for trial in trials if trial["round"] == num_rounds + 1]
    return _ordered([trial for trial in trials if trial.get("drawn")] + further) if further else []


def rules(trials: Trials) -> dict[str, float]:
    """Rule -> its loss on a proxy, the lowest first; those that failed are left out."""
    found = {str(trial["name"]): float(trial["loss"]) for trial in trials if not trial["round"] and _has_loss(trial)}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def best_so_far(trials: Trials) -> Points:
    """(number of trials, lowest loss of them), from the first success on."""
    best, points = math.inf, []
    for number, trial in enumerate(trials, 1):
        best = min(best, trial["loss"]) if _has_loss(trial) else best
        if math.isfinite(best):
            points.append((float(number), best))
    return points


def predicted_and_measured(trials: Trials) -> dict[int, Points]:
    """Round -> (predicted before training, measured); rounds without predictions are left out."""
    found: dict[int, Points] = {}
    for trial in _ordered(whole(trials)):
        if trial["predicted"] is not None and _has_loss(trial):
            found.setdefault(trial["round"], []).append((trial["predicted"], trial["loss"]))
    return found


def rank_correlations(fits: Sequence[Mapping[str, Any]]) -> tuple[Points, Points]:
    """(round, Spearman's correlation): by cross-validation over all runs so far, and of each round's proposals."""
    tested = [(fit["round"], fit.get("cross_validation", {}).get("spearman")) for fit in fits]
    proposed = [(fit["round"], fit.get("rank_correlation_of_proposals")) for fit in fits]
    return _there(tested), _there(proposed)


def not_better_than_chance(fits: Sequence[Mapping[str, Any]]) -> list[int]:
    """Rounds after which the predictor's rank correlation was no better than chance would give."""
    return [fit["round"] for fit in fits if fit.get("cross_validation", {}).get("better_than_chance") is False]


def _there(pairs: Sequence[tuple[int, float | None]]) -> Points:
    return [(float(number), value) for number, value in pairs if value is not None and math.isfinite(value)]


def _has_loss(trial: Mapping[str, Any]) -> bool:
    return trial["loss"] is not None and math.isfinite(trial["loss"])


def _ordered(trials: Trials) -> list[Mapping[str, Any]]:
    return sorted(trials, key=lambda trial: (trial["round"], trial["index"]))
