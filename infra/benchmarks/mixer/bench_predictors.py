"""Predictors by number of runs: rank correlation with runs left out, over random subsets.

`each-of-13` is the mean of RegMix's texts, each predicted apart; `mean` predicts their mean loss. At the end, how far
`auto` is from the best single one, in points (Spearman x 100), where it is furthest behind and on average.
"""

from collections.abc import Iterator

import numpy as np
from cells import Bench, Row
from public_tables import Runs, admire, olmix, regmix
from simulation import code_of_predictor

from mixer.predictors.choice import PREDICTORS, predictor
from mixer.predictors.validation import rank_correlation

NUM_RUNS = (32, 64, 112, 256)
OLMIX_RUNS = (25, 50, 75, 100)
NAMES = tuple(name for name in PREDICTORS if name != "stack")  # which `auto` is
CODE = ("public_tables", "mixer.predictors.validation")


def measure(bench: Bench) -> Iterator[Row]:
    rows = [*_of_regmix(bench), *_of_others(bench)]
    yield from rows
    yield from against_singles({row.name: row.value for row in rows if row.value is not None})


def _of_regmix(bench: Bench) -> Iterator[Row]:
    train = regmix(bench.data, "train-1m")
    tests = {size: regmix(bench.data, f"test-{size}") for size in ("1m", "60m")}
    for num in NUM_RUNS:
        for name in NAMES:
            yield from _regmix(bench, name, num, train, tests)


def _of_others(bench: Bench) -> Iterator[Row]:
    for part, nums in (("dclm", OLMIX_RUNS), ("full_reuse_update_5_seed_0", (25, 50))):
        runs = olmix(bench.data, part)
        for num in nums:
            for name in NAMES:
                yield from _left_out(bench, name, num, runs)
    largest = admire(bench.data)["Qwen2.5-7B"]
    for name in NAMES:
        yield from _left_out(bench, name, 50, largest)


def _regmix(bench: Bench, name: str, num: int, train: Runs, tests: dict[str, Runs]) -> Iterator[Row]:
    """13 texts and their mean, fitted at 1M parameters, tested on other mixtures at 1M and at 60M."""
    texts = list(train.losses)

    def one(seed: int) -> dict[str, dict[str, float]]:
        rows = np.random.default_rng([seed, num]).choice(len(train.weights), num, replace=False)
        found: dict[str, dict[str, float]] = {}
        for text in [*texts, "mean"]:
            losses = train.mean if text == "mean" else train.losses[text]
            predicted = predictor(name).fit(train.weights[rows], losses[rows]).mean(tests["1m"].weights)
            truth = {size: test.mean if text == "mean" else test.losses[text] for size, test in tests.items()}
            found[text] = {size: rank_correlation(predicted, values) for size, values in truth.items()}
        return found

    values = bench.over_seeds(f"predictors/regmix/{name}/{num}", one, (*CODE, code_of_predictor(name)))
    for size in tests:
        for text in ("mean", *texts):
            told = [value[text][size] for value in values]
            yield Row.of(f"predictors/regmix-{size}/{text}/{num}/{name}", told, "Spearman", num)
        told = [float(np.mean([value[text][size] for text in texts])) for value in values]
        yield Row.of(f"predictors/regmix-{size}/each-of-13/{num}/{name}", told, "Spearman", num)


def _left_out(bench: Bench, name: str, num: int, runs: Runs) -> Iterator[Row]:
    """The mean of all metrics, tested on the runs of the table that were not drawn."""
    losses = runs.mean

    def one(seed: int) -> float:
        order = np.random.default_rng([seed, num]).permutation(len(losses))
        seen, unseen = order[:num], order[num:]
        fitted = predictor(name).fit(runs.weights[seen], losses[seen])
        return rank_correlation(fitted.mean(runs.weights[unseen]), losses[unseen])

    values = bench.over_seeds(f"predictors/{runs.name}/{name}/{num}", one, (*CODE, code_of_predictor(name)))
    yield Row.of(f"predictors/{runs.name}/mean/{num}/{name}", values, "Spearman", num, tested_on=len(losses) - num)


def against_singles(values: dict[str, float]) -> Iterator[Row]:
    """`auto` against the best single predictor of every table, size and number of runs, and each single's average.

    Averages are over `mean` and `each-of-13`; the texts one by one are told beside.
    """
    by_case: dict[str, dict[str, float]] = {}
    for name, value in values.items():
        case, _, which = name.rpartition("/")
        by_case.setdefault(case, {})[which] = 100 * value
    summed = {case: told for case, told in by_case.items() if case.split("/")[2] in ("mean", "each-of-13")}
    for kind, cases in (("summaries", summed), ("all", by_case)):
        behind = {}
        for case, told in cases.items():
            best = max((which for which in told if which != "auto"), key=lambda which: told[which])
            behind[case] = (told["auto"] - told[best], best)
        worst = min(behind, key=lambda case: behind[case][0])
        notes = {"worst_case": worst, "best_single_there": behind[worst][1], "cases": len(behind)}
        within = sum(apart >= -0.3 for apart, _ in behind.values())
        yield Row(f"predictors/auto/{kind}/worst", behind[worst][0], "points ahead", len(behind), 1, None, notes)
        yield Row(f"predictors/auto/{kind}/within-0.3", within / len(behind), "share of cases", len(behind), 1)
        for which in NAMES:
            average = float(np.mean([told[which] for told in cases.values()]))
            yield Row(f"predictors/average/{kind}/{which}", average, "Spearman x 100", len(cases), 1)
