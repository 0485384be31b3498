"""Searches over landscapes whose best mixture is known: how far from it each strategy ends, in nats.

Beside every regret stands what it is in units of a trial's noise, and how often it is less than the best rule's and
than that of equal weights. Rules
`nearest` and `domain2vec` are told exactly what the target is made of here; where no search ends nearer, rows say so.
"""

from collections.abc import Iterator

import numpy as np
from cells import Bench, Row
from landscapes import Landscape, all_landscapes
from simulation import MAIN, SEEDS_OF_OTHERS, code_of, on_landscape
from tasked import LAWS, by_topic

from mixer.predictors.validation import cross_validated
from mixer.strategies.choice import RULES, STRATEGIES

TRIALS = (32, 64, 112)
VALIDATED = 20  # seeds whose predictor is asked whether it ranks better than chance, which costs more than the search
# Two that differ here in nothing but how many candidates they average, one that differs in ties, and bayes again.
LEFT_OUT = ("regmix-notebook", "climb-paper", "bayes-fidelity")
NAMES = tuple(name for name in dict.fromkeys(("auto", *STRATEGIES)) if name not in LEFT_OUT)


def measure(bench: Bench) -> Iterator[Row]:
    for landscape in all_landscapes().values():
        if len(landscape.phases) > 1:
            continue  # a search of phases is a test; strategies here propose static mixtures
        rules = {name: on_landscape(name, landscape, TRIALS[0], 0)[0] for name in RULES}
        best_rule = min(rules, key=lambda name: rules[name])
        for trials in TRIALS:
            rows = [_row(bench, landscape, name, trials, rules, best_rule) for name in NAMES]
            rows += [_law_row(bench, landscape, name, trials, rules) for name in LAWS if not landscape.flat]
            informative = min(row.value for row in rows if row.value is not None) < rules[best_rule] - 1e-12
            for row in rows:
                notes = {**row.notes, "informative": informative}
                yield Row(row.name, row.value, row.unit, row.n, row.seeds, row.spread, notes)
        for name, regret in rules.items():
            notes = {"in_noise": round(regret / landscape.noise, 2), "flat": landscape.flat}
            yield Row(f"planted/{landscape.name}/rule/{name}", regret, "nats from the best", 0, 1, None, notes)


def _row(bench: Bench, landscape: Landscape, name: str, trials: int, rules: dict[str, float], best_rule: str) -> Row:
    def one(seed: int) -> float:
        return on_landscape(name, landscape, trials, seed)[0]

    def known(seed: int) -> bool | None:
        _, history, made = on_landscape(name, landscape, trials, seed)
        if made.fit(history) is None:
            return None
        told = cross_validated(lambda rows: made.fit(history.take(rows)), history.weights, history.losses, repeats=1)
        return bool(told.better_than_chance)

    code = ("simulation", code_of(name))
    label = f"planted/{landscape.name}/{trials}/{name}"
    regrets = bench.over_seeds(label, one, code, None if name in MAIN else SEEDS_OF_OTHERS)
    notes: dict[str, object] = {
        "in_noise": round(float(np.mean(regrets)) / landscape.noise, 2),
        "best_rule": best_rule,
        "best_rule_regret": round(rules[best_rule], 5),
        "flat": landscape.flat,
    }
    if not landscape.flat:
        notes["beats_best_rule"] = sum(regret < rules[best_rule] for regret in regrets) / len(regrets)
        notes["beats_uniform"] = sum(regret < rules["uniform"] for regret in regrets) / len(regrets)
    if trials == TRIALS[0]:
        asked = [told for told in bench.over_seeds(f"{label}/known", known, code, VALIDATED) if told is not None]
        if asked:
            notes["predictor_better_than_chance"] = sum(asked) / len(asked)
    return Row.of(label, regrets, "nats from the best", trials, **notes)


def _law_row(bench: Bench, landscape: Landscape, name: str, trials: int, rules: dict[str, float]) -> Row:
    """Of a strategy that is told each topic's loss, as in no other row."""

    def one(seed: int) -> float:
        return by_topic(name, landscape, trials, seed)

    label = f"planted/{landscape.name}/{trials}/{name} by topic"
    regrets = bench.over_seeds(label, one, ("tasked", code_of(name)), SEEDS_OF_OTHERS)
    ahead = sum(regret < rules["uniform"] for regret in regrets) / len(regrets)
    in_noise = round(float(np.mean(regrets)) / landscape.noise, 2)
    return Row.of(label, regrets, "nats from the best", trials, in_noise=in_noise, beats_uniform=ahead)
