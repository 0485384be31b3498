"""Searches that may buy cheap trials: how far from the best at the target they end, by what they have spent.

ADMIRE: three model sizes, costs are their training times; only mixtures that were trained at a size may be bought at
it, and what is recommended is one of the 76 that the largest was trained on. RegMix: 1M and 60M parameters. Rules buy
nothing; regret stands beside in units of how much random search at the target differs from seed to seed (`in_spreads`).

    bayes-fidelity      any size, each trial where it tells most of the target for its cost
    bayes-target-only   the same with the target's size alone
    cheapest-only       the same with the smallest, and its best mixture
    regmix-style        random mixtures of the smallest size, one regression at the end, its best mixture
    random-target       random mixtures of the target's size, one regression at the end, its best mixture
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cells import Bench, Row
from public_tables import SIZES, admire, regmix

from mixer.predictors.kriging import Kriging
from mixer.strategies.bayes import improvement
from mixer.strategies.fidelity import FidelityHistory, MultiFidelity
from mixer.strategies.rules import closest
from mixer.strategy import among

BUDGETS = (2.0, 4.0, 8.0, 16.0)  # in trials of the target
CHEAP_BUDGETS = (1.0, 2.0)  # where sixty trials of the smallest size cost one of the target's
RULES = ("natural", "uniform", "entropy")
WAYS = ("bayes-fidelity", "bayes-target-only", "cheapest-only", "regmix-style", "random-target")
CODE = ("bench_fidelity", "public_tables", "mixer.strategies.fidelity", "mixer.predictors.kriging")


@dataclass(frozen=True, eq=False)
class Shop:
    """What can be bought: for each fidelity its mixtures, losses and cost, 1 for a trial of the target."""

    name: str
    weights: dict[float, np.ndarray]
    losses: dict[float, np.ndarray]
    own: int | None = None  # the bucket that the target's text is of
    budgets: tuple[float, ...] = BUDGETS

    def buy(self, row: np.ndarray, fidelity: float) -> float:
        return float(self.losses[fidelity][(self.weights[fidelity] == row).all(axis=1)][0])


def measure(bench: Bench) -> Iterator[Row]:
    for shop in shops(bench):
        cells = {
            way: bench.over_seeds(
                f"fidelity/{shop.name}/{way}", lambda seed, way=way, shop=shop: spent(shop, way, seed), CODE
            )
            for way in WAYS
        }
        rules = {name: _of_rule(shop, name) for name in RULES}
        if shop.own is not None:
            rules["nearest"] = _of_rule(shop, "nearest")
        best_rule = min(rules, key=lambda name: rules[name])
        for budget in shop.budgets:
            regrets = {way: [cell[str(budget)] for cell in by_seed] for way, by_seed in cells.items()}
            spread = float(np.std(regrets["random-target"], ddof=1)) if len(regrets["random-target"]) > 1 else 0.0
            informative = min(map(np.mean, regrets.values())) < rules[best_rule] - 1e-12
            for way, values in regrets.items():
                notes: dict[str, object] = {"best_rule": best_rule, "informative": bool(informative)}
                if spread:
                    notes["in_spreads"] = round(float(np.mean(values)) / spread, 3)
                name = f"fidelity/{shop.name}/{budget:g}/{way}"
                yield Row.of(name, values, "from the best", len(shop.weights[1.0]), **notes)
        for name, regret in rules.items():
            yield Row(f"fidelity/{shop.name}/rule/{name}", regret, "from the best", 0, 1)


def _of_rule(shop: Shop, name: str) -> float:
    """Of the target's mixtures the one nearest to the rule's; natural are the mean shares of the smallest size's."""
    natural = shop.weights[min(shop.weights)].mean(axis=0)
    mixtures = {"natural": natural, "uniform": np.ones_like(natural), "entropy": np.sqrt(natural)}
    if name == "nearest":
        mixtures["nearest"] = np.eye(len(natural))[shop.own]
    wanted = mixtures[name] / mixtures[name].sum()
    return shop.buy(closest(shop.weights[1.0], wanted), 1.0) - float(shop.losses[1.0].min())


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
        Shop(
            "regmix-pile-cc",
            weights,
            {size: runs.losses["pile_cc"] for size, runs in sizes.items()},
            small.buckets.index("pile_cc"),
            CHEAP_BUDGETS,
        ),
        Shop("regmix-mean", weights, {size: runs.mean for size, runs in sizes.items()}, None, CHEAP_BUDGETS),
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
    if way in ("cheapest-only", "regmix-style"):
        fidelities = [min(shop.weights)]
    random = np.random.default_rng([seed, 11])
    order = {fidelity: random.permutation(len(shop.weights[fidelity])) for fidelity in shop.weights}
    start = shop.weights[fidelities[0]][order[fidelities[0]]]
    made = MultiFidelity(
        start, target, {1.0: 1.0, **{f: f for f in fidelities}}, first_trials=2 if 1.0 in fidelities[:1] else 6
    )
    history = FidelityHistory(np.empty((0, target.shape[1])), np.empty(0), np.empty(0))
    cost, found = 0.0, {}
    step = _next(made, history, shop, way, fidelities, start)
    while len(found) < len(shop.budgets):
        budget = shop.budgets[len(found)]
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
        step = _next(made, history, shop, way, fidelities, start)
    return found


def _next(
    made: MultiFidelity, history: FidelityHistory, shop: Shop, way: str, fidelities: list[float], start: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """The next mixture and fidelity; None where all are bought."""
    if sum(len(shop.weights[fidelity]) for fidelity in fidelities) <= len(history):
        return None
    if way in ("random-target", "regmix-style"):
        return start[len(history)], fidelities[0]
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
