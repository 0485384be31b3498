"""A mixture out of finished runs, whoever trained them: a table of weights and metrics, a strategy, a report."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mixer import candidates
from mixer.candidates import Floats, Space, capped
from mixer.evidence import finite
from mixer.prediction import Fitted
from mixer.predictors.choice import predictor as predictor_of
from mixer.predictors.validation import Rows, Validation, cross_validated
from mixer.strategies import rules
from mixer.strategies.choice import strategy as strategy_of
from mixer.strategy import History, Problem
from mixer.tables import Runs
from pipelines.errors import SettingsError
from pipelines.search_settings import Search

# No search chose these runs, so the best of them is near nothing: look beyond them.
AUTO = "bayes-untrained"
AUTO_OF_PREDICTOR = "climb"  # where a predictor is named, which the other does not take
CANDIDATES = 100_000
FEWEST = 3
MEANT = 3  # names that an unknown metric may stand for


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The mixture that a table of runs leads to, and what stands behind it."""

    buckets: tuple[str, ...]
    weights: Floats
    predicted: float  # NaN where the strategy predicts nothing
    spread: float
    strategy: str
    predictor: str
    objective: tuple[str, ...]
    num_runs: int
    num_unpaired: int
    num_without_value: int
    best_measured: float
    validation: Validation | None
    others: dict[str, float] = field(default_factory=dict)  # predicted losses of the rules

    @property
    def reliable(self) -> bool:
        """Whether its predictor ranks runs that it has not seen."""
        return self.validation is not None and self.validation.better_than_chance

    @property
    def remark(self) -> str:
        """One sentence on what the fit is worth."""
        if self.validation is None:
            return f"{self.strategy} predicts nothing: its mixture follows from no loss."
        told = (
            f"rank correlation {self.validation.spearman:.2f} on runs left out, {self.validation.chance:.2f} by chance"
        )
        if math.isnan(self.validation.spearman):
            return "Too few runs to tell whether the predictor knows anything."
        if not self.validation.better_than_chance:
            return f"The predictor ranks runs no better than chance ({told}): do not rely on this mixture."
        return f"The predictor ranks runs ({told})."

    def to_json(self) -> dict[str, Any]:
        validation = self.validation
        return {
            "mixture": dict(zip(self.buckets, self.weights.tolist(), strict=True)),
            "predicted": finite(self.predicted),
            "spread": finite(self.spread),
            "strategy": self.strategy,
            "predictor": self.predictor,
            "objective": list(self.objective),
            "runs": self.num_runs,
            "runs_without_partner": self.num_unpaired,
            "runs_without_value": self.num_without_value,
            "best_measured": self.best_measured,
            "cross_validation": validation
            and {
                "spearman": finite(validation.spearman),
                "spearman_spread": finite(validation.spearman_spread),
                "rmse": finite(validation.rmse),
                "chance": finite(validation.chance),
                "better_than_chance": validation.better_than_chance,
            },
            "rules_predicted": {name: finite(loss) for name, loss in self.others.items()},
            "remark": self.remark,
        }


def fit_tables(
    runs: Runs,
    *,
    strategy: str = "auto",
    predictor: str = "",
    natural: Mapping[str, float] | None = None,
    caps: Mapping[str, float] | None = None,
    objective: Sequence[str] = (),
    higher_is_better: bool = False,
    candidate_count: int = 0,
    seed: int = 42,
) -> Fit:
    """The mixture that a strategy makes of finished runs.

    natural: how much there is of each bucket, in any unit (none: the runs' mean). caps: largest weights, by bucket.
    objective: metrics whose mean is minimised (none: all). predictor: in the place of the strategy's own, for those
    that take one. candidate_count: mixtures that are ranked (0: CANDIDATES). Raises SettingsError for names that are
    none, caps that leave no mixture, or too few runs.
    """
    name = _strategy(strategy, predictor)
    tasks = _objective(runs, objective)
    sign = -1.0 if higher_is_better else 1.0
    columns = {name: sign * runs.metrics[name] for name in tasks}
    whole = np.isfinite(np.array(list(columns.values()))).all(axis=0)
    if whole.sum() < FEWEST:
        raise SettingsError(
            f"{int(whole.sum())} runs have a number for {', '.join(tasks)}; at least {FEWEST} are needed"
        )
    columns = {name: values[whole] for name, values in columns.items()}
    losses = np.mean(list(columns.values()), axis=0)
    history = History(runs.weights[whole], losses, np.ones(len(losses), np.int64), columns)
    space = _space(runs, history, natural or {}, caps or {})
    problem = Problem(
        space=space,
        start=history.weights,
        pool=_pool(space, history, candidate_count or CANDIDATES, seed),
        seed=seed,
        tasks=tasks,
        predictor=predictor_of(predictor, seed) if predictor else None,
    )
    made = strategy_of(name, problem)
    weights: Floats = capped(made.recommend(history), space.limits)[0]
    fitted = made.fit(history)
    predicted, spread, validation, others = math.nan, math.nan, None, {}
    if fitted is not None:
        predicted, spread = (float(values[0]) for values in fitted.predict(weights[np.newaxis]))
        mixtures = {"natural": rules.natural(space), "uniform": rules.uniform(space), "unimax": rules.unimax(space)}
        others = {rule: sign * float(fitted.mean(row[np.newaxis])[0]) for rule, row in mixtures.items()}

        def refitted(rows: Rows) -> Fitted:
            again = made.fit(history.take(rows))
            assert again is not None  # since a strategy predicts always or never
            return again

        validation = cross_validated(refitted, history.weights, losses)
    return Fit(
        buckets=runs.buckets,
        weights=weights,
        predicted=sign * predicted,
        spread=spread,
        strategy=name,
        predictor=fitted.note if fitted is not None else "",
        objective=tasks,
        num_runs=len(losses),
        num_unpaired=runs.unpaired,
        num_without_value=int((~whole).sum()),
        best_measured=sign * float(losses.min()),
        validation=validation,
        others=others,
    )


def _strategy(name: str, predictor: str) -> str:
    if name in Search.ONLY_OF_PHASES:
        raise SettingsError(
            f"the strategy {name!r} searches phases, and a run of a table has one mixture; take another"
        )
    if name == "auto":
        return AUTO_OF_PREDICTOR if predictor else AUTO
    if predictor and name not in Search.WITH_PREDICTOR:
        raise SettingsError(
            f"the strategy {name!r} takes no predictor; {', '.join(Search.WITH_PREDICTOR)} do; leave {predictor!r} out"
        )
    return name


def _objective(runs: Runs, names: Sequence[str]) -> tuple[str, ...]:
    missing = [name for name in names if name not in runs.metrics]
    if missing:
        near = [metric for metric in runs.metrics if missing[0] in metric][:MEANT]
        near = near or difflib.get_close_matches(missing[0], runs.metrics, n=MEANT, cutoff=0.5)
        meant = f"did you mean {' or '.join(map(repr, near))}? T" if near else "t"
        raise SettingsError(f"no metric is called {', '.join(missing)}; {meant}here are: {', '.join(runs.metrics)}")
    if not runs.metrics:
        raise SettingsError("the metrics file has no columns of metrics")
    return tuple(names) or tuple(runs.metrics)


def _space(runs: Runs, history: History, natural: Mapping[str, float], caps: Mapping[str, float]) -> Space:
    for told, given in (("natural", natural), ("caps", caps)):
        unknown = [name for name in given if name not in runs.buckets]
        if unknown:
            raise SettingsError(f"{told}: {', '.join(unknown)} are no buckets; there are: {', '.join(runs.buckets)}")
    missing = [name for name in runs.buckets if natural and not natural.get(name, 0) > 0]
    if missing:
        raise SettingsError(
            f"natural has nothing for {', '.join(missing)}; leave them out of the runs, or say how much"
        )
    shares = np.array([natural[name] for name in runs.buckets]) if natural else history.weights.mean(axis=0)
    limits = np.array([caps.get(name, 1.0) for name in runs.buckets], np.float64)
    wrong = [name for name, limit in zip(runs.buckets, limits, strict=True) if not 0 < limit <= 1]
    if wrong or limits.sum() < 1 - 1e-9:
        raise SettingsError(f"caps lie in (0, 1] and sum to 1 or more; here {dict(caps)} leaves no mixture")
    free = Space.free(shares)
    return Space(free.shares, limits, free.once)


def _pool(space: Space, history: History, n: int, seed: int) -> Floats:
    """Draws around the natural shares, as sparse as a search's, and around every run, since tables may be dense."""
    about = np.random.default_rng([seed, 6])
    each = max(1, n // (2 * len(history)))
    near = [
        about.dirichlet(np.maximum(row, 1e-6) * strength, each // 2 + 1)
        for row in history.weights
        for strength in (20.0, 200.0)
    ]
    drawn = candidates.pool(space, max(n // 2, 1), concentration=1.0, seed=seed)
    return np.concatenate([capped(history.weights, space.limits), drawn, capped(np.concatenate(near), space.limits)])
