"""Searches that may buy cheap trials: how far from the best at the target they end, by what they have spent.

ADMIRE: three model sizes, costs are their training times; only mixtures that were trained at a size may be bought at
it, and what is recommended is one of the 76 that the largest was trained on. RegMix: 1M and 60M parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cells import Bench, Row
from public_tables import SIZES, admire, regmix

from mixer.predictors.kriging import Kriging
from mixer.strategies.bayes import improvement
from mixer.strategies.fidelity import FidelityHistory, MultiFidelity
from mixer.strategy import among

BUDGETS = (2.0, 4.0, 8.0, 16.0)  # in trials of the target
WAYS = ("bayes-fidelity", "bayes-target-only", "cheapest-only", "random-target")


@dataclass(frozen=True, eq=False)
class Shop:
    """What can be bought: for each fidelity its mixtures, losses and cost, 1 for a trial of the target."""

    name: str
    weights: dict[float, np.ndarray]
    losses: dict[float, np.ndarray]

    def buy(self, row: np.ndarray, fidelity: float) -> float:
        return float(self.losses[fidelity][(self.weights[fidelity] == row).all(axis=1)][0])


def measure(bench: Bench) -> Iterator[Row]:
    for shop in shops(bench):
        for way in WAYS:
            cells = bench.over_seeds(
                f"fidelity/{shop.name}/{way}", lambda seed, way=way, shop=shop: spent(shop, way, seed)
            )
            for budget in BUDGETS:
                values = [cell[str(budget)] for cell in cells]
                yield Row.of(f"fidelity/{shop.name}/{budget:g}/{way}", values, "from the best", len(shop.weights[1.0]))


def shops(bench: Bench) -> list[Shop]:
    models = admire(bench.data)
    largest = SIZES["Qwen2.5-7B"]
    costs = {round(SIZES[model] / largest, 3): model for model in models}
    tuned = Shop(
        "admire",
        {cost: models[model].weights for cost, model in costs.items()},
        {cost: models[model].losses["avg_id+ood"] for cost, model in costs.items()},
    )
    small, large = regmix(bench.data, "test-1m"), regmix(bench.data, "test-60m")
    sizes = {round(1 / 60, 3): small, 1.0: large}
    weights = {size: runs.weights for size, runs in sizes.items()}
    return [
        _distinct(tuned),
        Shop("regmix-pile-cc", weights, {size: runs.losses["pile_cc"] for size, runs in sizes.items()}),
        Shop("regmix-mean", weights, {size: runs.mean for size, runs in sizes.items()}),
    ]


def _distinct(shop: Shop) -> Shop:
    kept = {}
    for fidelity, rows in shop.weights.items():
        _, first = np.unique(rows, axis=0, return_index=True)
        kept[fidelity] = np.sort(first)
    return Shop(
        shop.name,
        {fidelity: shop.weights[fidelity][rows] for fidelity, rows in kept.items()},
        {fidelity: shop.losses[fidelity][rows] for fidelity, rows in kept.items()},
    )


def spent(shop: Shop, way: str, seed: int) -> dict[str, float]:
    """Regret at the target once each budget is spent."""
    target = shop.weights[1.0]
    fidelities = sorted(shop.weights) if way == "bayes-fidelity" else [1.0]
    if way == "cheapest-only":
        fidelities = [min(shop.weights)]
    random = np.random.default_rng([seed, 11])
    order = {fidelity: random.permutation(len(shop.weights[fidelity])) for fidelity in shop.weights}
    start = shop.weights[fidelities[0]][order[fidelities[0]]]
    made = MultiFidelity(
        start, target, {1.0: 1.0, **{f: f for f in fidelities}}, first_trials=2 if 1.0 in fidelities[:1] else 6
    )
    history = FidelityHistory(np.empty((0, target.shape[1])), np.empty(0), np.empty(0))
    cost, found = 0.0, {}
    while len(found) < len(BUDGETS):
        step = _next(made, history, shop, way, fidelities, start)
        budget = BUDGETS[len(found)]
        if step is None or cost + step[1] > budget + 1e-9:
            found[str(budget)] = _regret(made, history, shop)
            continue
        row, fidelity = step
        cost += fidelity
        history = FidelityHistory(
            np.vstack([history.weights, row]),
            np.append(history.fidelities, fidelity),
            np.append(history.losses, shop.buy(row, fidelity)),
        )
    return found


def _next(
    made: MultiFidelity, history: FidelityHistory, shop: Shop, way: str, fidelities: list[float], start: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """The next mixture and fidelity; None where all are bought."""
    if sum(len(shop.weights[fidelity]) for fidelity in fidelities) <= len(history):
        return None
    if way == "random-target":
        return start[len(history)], 1.0
    if len(history) < made.first_trials:
        return start[len(history)], fidelities[0]
    if way == "cheapest-only":
        left = shop.weights[fidelities[0]]
        left = left[~among(left, history.weights)]
        fitted = Kriging().fit(history.weights, history.losses)
        mean, spread = fitted.predict(left)
        best = float(fitted.mean(history.weights).min())
        return left[np.argmax(improvement(best - mean, spread))], fidelities[0]
    allowed = {fidelity: shop.weights[fidelity] if fidelity in fidelities else made.pool[:0] for fidelity in made.costs}
    return made.propose(history, allowed)


def _regret(made: MultiFidelity, history: FidelityHistory, shop: Shop) -> float:
    row = made.recommend(history) if len(history) > 1 else history.weights[0]
    return shop.buy(row, 1.0) - float(shop.losses[1.0].min())
