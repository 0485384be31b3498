"""Predictors by number of runs: rank correlation with runs left out, over random subsets."""

from collections.abc import Iterator

import numpy as np
from cells import Bench, Row
from public_tables import Runs, admire, olmix, regmix

from mixer.predictors.choice import PREDICTORS, predictor
from mixer.predictors.validation import rank_correlation

NUM_RUNS = (32, 64, 112, 256)
OLMIX_RUNS = (25, 50, 75, 100)
SLOW = {"stack"}  # of many texts, only the mean and Pile-CC


def measure(bench: Bench) -> Iterator[Row]:
    train = regmix(bench.data, "train-1m")
    tests = {size: regmix(bench.data, f"test-{size}") for size in ("1m", "60m")}
    for num in NUM_RUNS:
        for name in PREDICTORS:
            yield from _regmix(bench, name, num, train, tests)
    for part, nums in (("dclm", OLMIX_RUNS), ("full_reuse_update_5_seed_0", (25, 50))):
        runs = olmix(bench.data, part)
        for num in nums:
            for name in PREDICTORS:
                yield from _left_out(bench, name, num, runs)
    largest = admire(bench.data)["Qwen2.5-7B"]
    for name in PREDICTORS:
        yield from _left_out(bench, name, 50, largest)


def _regmix(bench: Bench, name: str, num: int, train: Runs, tests: dict[str, Runs]) -> Iterator[Row]:
    """13 texts and their mean, fitted at 1M parameters, tested on other mixtures at 1M and at 60M."""
    texts = ["pile_cc"] if name in SLOW else list(train.losses)

    def one(seed: int) -> dict[str, dict[str, float]]:
        rows = np.random.default_rng([seed, num]).choice(len(train.weights), num, replace=False)
        found: dict[str, dict[str, float]] = {}
        for text in [*texts, "mean"]:
            losses = train.mean if text == "mean" else train.losses[text]
            predicted = predictor(name).fit(train.weights[rows], losses[rows]).mean(tests["1m"].weights)
            truth = {size: test.mean if text == "mean" else test.losses[text] for size, test in tests.items()}
            found[text] = {size: rank_correlation(predicted, values) for size, values in truth.items()}
        return found

    values = bench.over_seeds(f"predictors/regmix/{name}/{num}", one)
    for size in tests:
        for text in ("mean", "pile_cc"):
            told = [value[text][size] for value in values]
            yield Row.of(f"predictors/regmix-{size}/{text}/{num}/{name}", told, "Spearman", num)
        if name not in SLOW:
            told = [float(np.mean([value[text][size] for text in texts])) for value in values]
            yield Row.of(f"predictors/regmix-{size}/each-of-13/{num}/{name}", told, "Spearman", num)


def _left_out(bench: Bench, name: str, num: int, runs: Runs) -> Iterator[Row]:
    """The mean of all metrics, tested on the runs of the table that were not drawn."""
    losses = runs.losses.get("avg_id+ood", runs.mean)

    def one(seed: int) -> float:
        order = np.random.default_rng([seed, num]).permutation(len(losses))
        seen, unseen = order[:num], order[num:]
        fitted = predictor(name).fit(runs.weights[seen], losses[seen])
        return rank_correlation(fitted.mean(runs.weights[unseen]), losses[unseen])

    values = bench.over_seeds(f"predictors/{runs.name}/{name}/{num}", one)
    yield Row.of(f"predictors/{runs.name}/mean/{num}/{name}", values, "Spearman", num, tested_on=len(losses) - num)
