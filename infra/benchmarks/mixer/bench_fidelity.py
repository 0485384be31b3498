"""Searches that may buy cheap trials: how far from the best at the target they end, by what they have spent.

ADMIRE: three model sizes, costs are their training times; only mixtures that were trained at a size may be bought at
it, and what is recommended is one of the 76 that the largest was trained on; bayes-fidelity, which asks of each trial
what it tells of its own mixture, buys none but these. RegMix: 1M and 60M parameters. Planted:
300 mixtures, trials of a tenth of the cost whose target needs somewhat other topics; a table with a trial's noise, and
regret without it. Rules buy nothing; regret stands beside in units of how much random search at the target differs from
seed to seed (`in_spreads`).

    bayes-fidelity      any size, each trial where it improves most for its cost
    bayes-target-only   the same with the target's size alone
    cheapest-only       the same with the smallest, and its best mixture
    regmix-style        random mixtures of the smallest size, one regression at the end, its best mixture
    random-target       random mixtures of the target's size, one regression at the end, its best mixture

What cheap sizes can tell stands beside: the rank correlation of their measured losses with the target's, and where the
process ends that is given every run of a size and of those below it (`everything`, which has no budget).

Planted, and on RegMix's tables, bayes-fidelity ends .06 to .77 nearer to the best than bayes-target-only at every
budget. Where the smallest size is nearly the target (RegMix, planted-peaked), or little is spent, all of it on that
size ends nearer still, by up to .1; at eight trials of planted-blended and planted-narrow it ends .02 and .04 farther.

On ADMIRE's table it ends nearer than the smallest size alone, than RegMix's way from four trials on and than random
search of the target from eight on; not than bayes-target-only, which is level with it at two and four trials and ahead
by .0004 (two standard errors, a fifth of a trial's noise) at 8 and 16. Why not: the smaller sizes order the 76 mixtures
as the largest does at .57 and .65 only. All 256 runs of the smallest, which cost as much as 45 of the target's, end
.0050 from the best, with all 128 of the next .0019, and eight trials of the target .0017. And there is one run a
mixture: regret is judged by the very numbers that trials of the target buy, their luck included, of which a cheap trial
tells nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cells import Bench, Row
from landscapes import Landscape, all_landscapes
from public_tables import SIZES, admire, regmix

from mixer.candidates import Space, pool, start
from mixer.predictors.fidelity import FittedFidelities
from mixer.predictors.validation import rank_correlation
from mixer.strategies.fidelity import chosen
from mixer.strategies.rules import closest
from mixer.strategy import among

BUDGETS = (2.0, 4.0, 8.0, 16.0)  # in trials of the target
CHEAP_BUDGETS = (1.0, 2.0)  # where sixty trials of the smallest size cost one of the target's
RULES = ("natural", "uniform", "entropy")
WAYS = ("bayes-fidelity", "bayes-target-only", "cheapest-only", "regmix-style", "random-target")
CODE = ("bench_fidelity", "public_tables", "landscapes", "mixer.strategies.fidelity")
FIRST_TRIALS = {"bayes-fidelity": 6, "cheapest-only": 6, "bayes-target-only": 2}
PLANTED = ("peaked", "blended", "narrow")
OTHER_NEEDS = 0.3  # of what a cheap planted trial measures


@dataclass(frozen=True, eq=False)
class Shop:
    """What can be bought: for each fidelity, which is its cost, mixtures and losses; 1 is the target's.

    `truth`: of the target's mixtures, where it is known without a trial's noise.
    """

    name: str
    weights: dict[float, np.ndarray]
    losses: dict[float, np.ndarray]
    own: int | None = None  # the bucket that the target's text is of
    budgets: tuple[float, ...] = BUDGETS
    truth: np.ndarray | None = None

    def buy(self, row: np.ndarray, fidelity: float) -> float:
        return float(self.losses[fidelity][(self.weights[fidelity] == row).all(axis=1)][0])

    def regret(self, row: np.ndarray) -> float:
        truth = self.losses[1.0] if self.truth is None else self.truth
        return float(truth[(self.weights[1.0] == row).all(axis=1)][0] - truth.min())


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
            yield from _of_budget(shop, budget, regrets, best_rule, rules[best_rule])
        for name, regret in rules.items():
            yield Row(f"fidelity/{shop.name}/rule/{name}", regret, "from the best", 0, 1)
        yield from _told_by_sizes(shop)


def _of_budget(
    shop: Shop, budget: float, regrets: dict[str, list[float]], best_rule: str, of_rule: float
) -> Iterator[Row]:
    spread = float(np.std(regrets["random-target"], ddof=1)) if len(regrets["random-target"]) > 1 else 0.0
    informative = min(map(np.mean, regrets.values())) < of_rule - 1e-12
    for way, values in regrets.items():
        notes: dict[str, object] = {"best_rule": best_rule, "informative": bool(informative)}
        if spread:
            notes["in_spreads"] = round(float(np.mean(values)) / spread, 3)
        if way == "bayes-fidelity":
            # How far ahead of each other way, and the standard error of that over the same seeds.
            for other in WAYS[1:]:
                apart = np.subtract(regrets[other], values)
                error = float(np.std(apart, ddof=1)) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
                notes[f"ahead_of_{other}"] = [round(float(apart.mean()), 6), round(error, 6)]
        name = f"fidelity/{shop.name}/{budget:g}/{way}"
        yield Row.of(name, values, "from the best", len(shop.weights[1.0]), **notes)


def _told_by_sizes(shop: Shop) -> Iterator[Row]:
    """What each size's measured losses say of the target's, and where a process ends that knows all of them."""
    target = shop.weights[1.0]
    for fidelity in sorted(shop.weights):
        shared = among(target, shop.weights[fidelity])
        cheap = np.array([shop.buy(row, fidelity) for row in target[shared]])
        told = rank_correlation(cheap, shop.losses[1.0][shared])
        best = shop.regret(target[shared][np.argmin(cheap)])
        if fidelity < 1:
            name = f"fidelity/{shop.name}/sizes/{fidelity:g}/rank-correlation"
            yield Row(name, told, "Spearman", int(shared.sum()), 1, None, {"regret_of_its_best": best})
        known = [one for one in sorted(shop.weights) if one <= fidelity]
        fitted = FittedFidelities(
            np.concatenate([shop.weights[one] for one in known]),
            np.repeat(known, [len(shop.weights[one]) for one in known]),
            np.concatenate([shop.losses[one] for one in known]),
        )
        means = fitted.mean(target)
        notes = {
            "cost": round(sum(one * len(shop.weights[one]) for one in known), 1),
            "rank_correlation": round(rank_correlation(means, shop.losses[1.0]), 3),
            "noise": round(fitted.noise**0.5, 6),  # standard deviation of a trial, as the process sees it
        }
        regret = shop.regret(target[np.argmin(means)])
        name = f"fidelity/{shop.name}/sizes/{fidelity:g}/everything"
        yield Row(name, regret, "from the best", sum(len(shop.weights[one]) for one in known), 1, None, notes)


def _of_rule(shop: Shop, name: str) -> float:
    """Of the target's mixtures the one nearest to the rule's; natural are the mean shares of the smallest size's."""
    natural = shop.weights[min(shop.weights)].mean(axis=0)
    mixtures = {"natural": natural, "uniform": np.ones_like(natural), "entropy": np.sqrt(natural)}
    if name == "nearest":
        mixtures["nearest"] = np.eye(len(natural))[shop.own]
    wanted = mixtures[name] / mixtures[name].sum()
    return shop.regret(closest(shop.weights[1.0], wanted))


def shops(bench: Bench) -> list[Shop]:
    models = admire(bench.data)
    largest = SIZES["Qwen2.5-7B"]
    costs = {round(SIZES[model] / largest, 3): model for model in models}
    tuned = Shop(
        "admire",
        {cost: models[model].weights for cost, model in costs.items()},
        {cost: models[model].mean for cost, model in costs.items()},
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
        *(planted(name) for name in PLANTED),
    ]


def planted(name: str, cost: float = 0.1, num: int = 300) -> Shop:
    """Half of the mixtures as first rounds draw them, half from a Dirichlet about the shares of the tokens."""
    whole = all_landscapes()[name]
    random = np.random.default_rng([77, len(whole.needs)])
    counts = [int(count) for count in whole.tokens]
    space = Space.of(counts, budget_tokens=sum(counts), max_epochs=100)
    drawn = np.concatenate([start(space, num // 2, seed=0), pool(space, num // 2, concentration=3.0, seed=0)])
    weights = np.unique(np.round(drawn, 9), axis=0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    needs = (1 - OTHER_NEEDS) * whole.needs + OTHER_NEEDS * random.dirichlet(np.ones(len(whole.needs)))
    cheap = Landscape("cheap", needs, whole.topics, whole.tokens, offset=whole.offset)
    truth = whole.losses(weights)
    noise = whole.noise * random.standard_normal((2, len(weights)))
    losses = {cost: 0.5 + cheap.losses(weights) + noise[0], 1.0: truth + noise[1]}
    return Shop(f"planted-{name}", dict.fromkeys(losses, weights), losses, None, BUDGETS[:3], truth)


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


@dataclass(frozen=True, eq=False)
class Bought:
    """Mixtures, the fidelities that they were bought at, and what was measured."""

    weights: np.ndarray
    fidelities: np.ndarray
    losses: np.ndarray

    def __len__(self) -> int:
        return len(self.losses)

    def and_one(self, row: np.ndarray, fidelity: float, loss: float) -> "Bought":
        return Bought(
            np.vstack([self.weights, row]), np.append(self.fidelities, fidelity), np.append(self.losses, loss)
        )

    def fitted(self, *, mixed: bool) -> FittedFidelities:
        """Where fidelities are not mixed, the one there is stands for the target."""
        fidelities = self.fidelities if mixed else np.ones(len(self))
        return FittedFidelities(self.weights, fidelities, self.losses)


def spent(shop: Shop, way: str, seed: int) -> dict[str, float]:
    """Regret at the target once each budget is spent."""
    target = shop.weights[1.0]
    known = sorted(shop.weights)
    fidelities = {"bayes-fidelity": known, "cheapest-only": known[:1], "regmix-style": known[:1]}.get(way, [1.0])
    random = np.random.default_rng([seed, 11])
    order = {fidelity: random.permutation(len(shop.weights[fidelity])) for fidelity in shop.weights}
    first = shop.weights[fidelities[0]][order[fidelities[0]]]
    if way == "bayes-fidelity":
        first = first[among(first, target)]
    bought = Bought(np.empty((0, target.shape[1])), np.empty(0), np.empty(0))
    cost, found = 0.0, {}
    step = _next(shop, way, fidelities, first, bought)
    while len(found) < len(shop.budgets):
        budget = shop.budgets[len(found)]
        if step is None or cost + step[1] > budget + 1e-9:
            found[str(budget)] = _regret(shop, bought, mixed=len(fidelities) > 1)
            continue
        row, fidelity = step
        cost += fidelity
        bought = bought.and_one(row, fidelity, shop.buy(row, fidelity))
        step = _next(shop, way, fidelities, first, bought)
    return found


def _next(
    shop: Shop, way: str, fidelities: list[float], first: np.ndarray, bought: Bought
) -> tuple[np.ndarray, float] | None:
    """The next mixture and fidelity; None where all are bought."""
    if way in ("random-target", "regmix-style"):
        return (first[len(bought)], fidelities[0]) if len(bought) < len(first) else None
    if len(bought) < FIRST_TRIALS[way]:
        return first[len(bought)], fidelities[0]
    mixed = len(fidelities) > 1
    fitted = bought.fitted(mixed=mixed)
    rows = shop.weights[1.0] if mixed else shop.weights[fidelities[0]]
    untried = np.array(
        [
            among(rows, shop.weights[fidelity]) & ~among(rows, bought.weights[bought.fidelities == fidelity])
            for fidelity in fidelities
        ]
    )
    best = float(fitted.mean(bought.weights).min())
    costs = fidelities if mixed else [1.0]
    found = chosen(fitted, rows, untried, costs, best=best, budget=np.inf, most=1)
    return (rows[found[0][0]], fidelities[found[0][1]]) if found else None


def _regret(shop: Shop, bought: Bought, *, mixed: bool) -> float:
    target = shop.weights[1.0]
    row = target[np.argmin(bought.fitted(mixed=mixed).mean(target))] if len(bought) > 1 else bought.weights[0]
    return shop.regret(row)
