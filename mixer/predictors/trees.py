"""Boosted trees by LightGBM, under the settings of two published methods.

Losses are standardised before trees are fitted: CLIMB's target is an accuracy in percent, whose spread over
mixtures is about 1; its L1 penalty of 1 zeroes leaves where losses differ by hundredths of a nat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted, Prediction
from mixer.predictors.kriging import Kriging
from mixer.predictors.validation import Rows, cross_validated

MIN_RUNS = 50
# One thread and fixed layout: the same numbers on any machine of one library version.
REPEATABLE = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a method grows its trees by. `held_out`: share of runs that only say when to stop; 0: never early."""

    name: str
    held_out: float
    stopping_rounds: int
    values: Mapping[str, Any] = field(default_factory=dict)
    iterations: int = 1000


# Official recipe (NeMo Curator, nemotron-climb-data-curation) and 2504.13161, section 4.1; 16 leaves are all that a
# depth of 4 allows.
CLIMB = Settings(
    "CLIMB",
    held_out=0.1,
    stopping_rounds=20,
    values={
        "objective": "regression",
        "boosting": "gbdt",
        "learning_rate": 0.01,
        "lambda_l1": 1.0,
        "lambda_l2": 1.0,
        "max_depth": 4,
        "num_leaves": 16,
        "min_data_in_leaf": 5,
    },
)
# The RegMix repository's notebook (2407.01492): the library's own limits. It stops on the test set; here, never.
REGMIX = Settings(
    "RegMix",
    held_out=0.0,
    stopping_rounds=0,
    values={
        "objective": "regression",
        "boosting": "gbdt",
        "learning_rate": 0.01,
        "num_leaves": 31,
        "min_data_in_leaf": 20,
    },
)


@dataclass(frozen=True, slots=True)
class LightGBM:
    """CLIMB's regularised trees: depth 4, leaves of 5, L1 = L2 = 1, early stopping on a tenth held out.

    The recipe never fits fewer than 64 runs. Under 50 (four fifths of that, so that cross-validating its first
    round refits trees) `Kriging` takes over, and `note` of what is fitted says so: leaves of 5 are too coarse, and
    stopping on the one to four runs held out is a coin toss. `infra/benchmarks/mixer/bench_predictors.py` measures it.
    With `settings=REGMIX` the trees are RegMix's, which are one constant below some 40 runs.
    """

    seed: int = 42
    min_runs: int = MIN_RUNS
    settings: Settings = CLIMB
    name: str = "lightgbm"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        if len(losses) < self.min_runs:
            return Kriging().fit(weights, losses)
        return FittedTrees(weights, losses, self.seed, self.settings)


class FittedTrees:
    """Boosted trees; their spread is the error on held-out folds, since trees have none of their own."""

    def __init__(self, weights: Floats, losses: Floats, seed: int, settings: Settings) -> None:
        self._weights, self._losses, self._seed, self._settings = weights, losses, seed, settings
        self._centre = float(losses.mean())
        self._scale = float(losses.std()) or 1.0
        self._booster = _boosted(weights, (losses - self._centre) / self._scale, seed, settings)
        trees, held_out = self._booster.num_trees(), _num_held_out(len(losses), settings)
        self.note = f"LightGBM ({settings.name}): {len(losses)} runs, {held_out} of them held out, {trees} trees"

    def mean(self, weights: Floats) -> Floats:
        predicted: Floats = self._booster.predict(weights) * self._scale + self._centre
        return predicted

    def predict(self, weights: Floats) -> Prediction:
        return Prediction(self.mean(weights), np.full(len(weights), self._error))

    @cached_property
    def _error(self) -> float:
        num = len(self._losses)
        if num < 3:  # too few to hold any out
            return float(self._losses.std())

        def fit(rows: Rows) -> Fitted:
            return FittedTrees(self._weights[rows], self._losses[rows], self._seed, self._settings)

        return cross_validated(fit, self._weights, self._losses, repeats=1, seed=self._seed + num).rmse


def _boosted(weights: Floats, targets: Floats, seed: int, settings: Settings) -> Any:
    import lightgbm  # 1.6 s

    held_out = _num_held_out(len(targets), settings)
    order = np.random.default_rng(seed).permutation(len(targets))
    train, stop = order[held_out:], order[:held_out]
    data = lightgbm.Dataset(weights[train], targets[train])
    parameters = {**settings.values, **REPEATABLE, "seed": seed}
    if not held_out:
        return lightgbm.train(parameters, data, settings.iterations)
    return lightgbm.train(
        parameters,
        data,
        settings.iterations,
        valid_sets=[lightgbm.Dataset(weights[stop], targets[stop], reference=data)],
        callbacks=[lightgbm.early_stopping(min(settings.stopping_rounds, held_out), verbose=False)],
    )


def _num_held_out(num_runs: int, settings: Settings) -> int:
    return max(1, round(num_runs * settings.held_out)) if settings.held_out else 0
