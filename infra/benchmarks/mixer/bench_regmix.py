"""RegMix's own protocol: the 13 rank correlations that its notebook prints, then the same without the test set's help.

The notebook stops its trees early on the very runs that it then tests on. Those figures are rows named `leaky`, which
only show that the same data and settings give the same numbers; `clean` trees are as many as they are told to be.
"""

import warnings
from collections.abc import Iterator

import numpy as np
from cells import Bench, Row
from public_tables import regmix, regmix_raw_weights

from mixer.predictors.kriging import Kriging
from mixer.predictors.validation import rank_correlation

# Printed by the repository's notebook, Spearman's correlation in percent at 1M parameters.
PRINTED = {
    "arxiv": 99.60, "freelaw": 99.71, "pubmed_central": 99.08, "wikipedia_en": 99.45, "dm_mathematics": 97.20,
    "github": 99.77, "stackexchange": 99.73, "gutenberg_pg_19": 99.18, "pile_cc": 98.92, "ubuntu_irc": 96.87,
    "hackernews": 98.51, "pubmed_abstracts": 99.19, "uspto_backgrounds": 99.12,
}  # fmt: skip
# Of the paper's table 2, Pile-CC.
CODE = ("bench_regmix", "public_tables", "mixer.predictors.kriging", "mixer.predictors.validation")
LINEAR = {"1m": 90.08, "60m": 89.26}


def measure(bench: Bench) -> Iterator[Row]:
    train = regmix(bench.data, "train-1m")
    seen = regmix_raw_weights(bench.data, "train-1m")
    tests = {size: regmix(bench.data, f"test-{size}") for size in ("1m", "60m")}
    unseen = regmix_raw_weights(bench.data, "test-1m")
    assert np.array_equal(unseen, regmix_raw_weights(bench.data, "test-60m"))
    for name, losses in train.losses.items():

        def correlations(_: int, name: str = name, losses: np.ndarray = losses) -> dict[str, dict[str, float]]:
            stop = tests["1m"].losses[name]
            predicted = {
                "leaky": trees(seen, losses, unseen, stop),
                "clean": trees(seen, losses, unseen, None),
                "linear": least_squares(seen, losses, unseen),
                "kriging": Kriging().fit(train.weights, losses).mean(tests["1m"].weights),
            }
            return {
                kind: {size: 100 * rank_correlation(values, tests[size].losses[name]) for size in tests}
                for kind, values in predicted.items()
            }

        for kind, by_size in bench.over_seeds(f"regmix/{name}", correlations, CODE, most=1)[0].items():
            for size, value in by_size.items():
                notes: dict[str, object] = {}
                if (kind, size) == ("leaky", "1m"):
                    notes = {"published": PRINTED[name], "equal": round(value, 2) == PRINTED[name]}
                    notes["warning"] = "early stopping on the test runs, as the notebook does"
                elif kind == "linear" and name == "pile_cc":
                    notes = {"published": LINEAR[size], "equal": round(value, 2) == LINEAR[size]}
                yield Row(f"regmix/{size}/{name}/{kind}", value, "Spearman x 100", len(losses), 1, None, notes)


def trees(seen: np.ndarray, losses: np.ndarray, unseen: np.ndarray, stop: np.ndarray | None) -> np.ndarray:
    """The notebook's trees; `stop`: losses of `unseen` that they are stopped by, None for none."""
    from lightgbm import LGBMRegressor, early_stopping

    model = LGBMRegressor(
        boosting_type="gbdt", objective="regression", metric=["l1", "l2"], n_estimators=1000, learning_rate=0.01,
        random_state=42, n_jobs=1, verbosity=-1, seed=42,
    )  # fmt: skip
    if stop is None:
        model.fit(seen, losses)
    else:
        warnings.simplefilter("ignore", FutureWarning)  # newer versions would have the same under another name
        model.fit(
            seen, losses, eval_set=[(unseen, stop)], eval_metric="l2", callbacks=[early_stopping(3, verbose=False)]
        )
    return model.predict(unseen)


def least_squares(seen: np.ndarray, losses: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Ordinary least squares with a level."""
    slopes, *_ = np.linalg.lstsq(np.column_stack([seen, np.ones(len(seen))]), losses, rcond=None)
    return np.column_stack([unseen, np.ones(len(unseen))]) @ slopes
