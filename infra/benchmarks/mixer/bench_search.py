"""Searches among a table's own mixtures: how far what a strategy ends with is from the table's best.

The zero-training rules stand beside, as the listed mixture nearest to theirs, and a descent that fits nothing: down the
weight of the one domain that the text is of. Where one of them ends at least as near as the best search of as many
evaluations, the pool says nothing about searches, and its rows are labelled so.

Tables hold one run a mixture, so that no seed's luck can be told from them; the yardstick of a pool is how much the
regret of random search differs from seed to seed at as many evaluations (`in_spreads`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cells import Bench, Row
from public_tables import admire, olmix, regmix
from simulation import MAIN, SEEDS_OF_OTHERS, code_of, on_table

from mixer.strategies.choice import STRATEGIES
from mixer.strategies.rules import closest
from mixer.strategy import Target

TRIALS = (32, 64, 112)
# RegMix's two variants differ in how many mixtures they average, and of a list one is chosen; where all trials cost
# the same, bayes-fidelity is bayes.
LEFT_OUT = ("regmix-notebook", "bayes-fidelity")
SEARCHES = tuple(name for name in dict.fromkeys(("auto", *STRATEGIES)) if name not in LEFT_OUT)
DESCENT = 4  # evaluations of the descent
RULES = ("natural", "uniform", "entropy", "nearest")


@dataclass(frozen=True, eq=False)
class Pool:
    name: str
    weights: np.ndarray
    losses: np.ndarray
    shares: np.ndarray
    target: Target | None
    trials: tuple[int, ...]


def measure(bench: Bench) -> Iterator[Row]:
    for pool in pools(bench):
        rules = {name: _of_rule(pool, name) for name in RULES if name != "nearest" or pool.target is not None}
        if pool.target is not None:
            rules["descent"] = _descended(pool, DESCENT)
        best_rule = min(rules, key=lambda name: rules[name])
        spread = 0.0
        for trials in pool.trials:
            rows = [_searched(bench, pool, name, trials) for name in SEARCHES]
            by_name = {row.name.split("/")[-1]: row for row in rows}
            spread = by_name["random"].spread or spread
            searches = [row.value for name, row in by_name.items() if name != "random" and row.value is not None]
            told = min(searches) < rules[best_rule] - 1e-12
            for row in rows:
                notes = {**row.notes, "informative": told, "best_rule": best_rule}
                notes |= _in_spreads(row.value, spread)
                yield Row(row.name, row.value, row.unit, row.n, row.seeds, row.spread, notes)
        for name, regret in rules.items():
            evaluations = DESCENT if name == "descent" else 0
            notes = _in_spreads(regret, spread)
            yield Row(f"search/{pool.name}/rule/{name}", regret, "from the best", evaluations, 1, None, notes)


def _in_spreads(regret: float | None, spread: float) -> dict[str, object]:
    return {} if regret is None or not spread else {"in_spreads": round(regret / spread, 3)}


def _descended(pool: Pool, evaluations: int) -> float:
    """The regret of the best of the listed mixtures that have most of the target's own domain."""
    assert pool.target is not None
    own = int(np.argmax(pool.target.counts))
    most = np.argsort(-pool.weights[:, own], kind="stable")[:evaluations]
    return float(pool.losses[most].min() - pool.losses.min())


def pools(bench: Bench) -> list[Pool]:
    """RegMix at 1M (768 mixtures) for five texts and the mean, Olmix (127), and ADMIRE's smallest model (256)."""
    parts = [regmix(bench.data, part) for part in ("train-1m", "test-1m")]
    weights = np.concatenate([part.weights for part in parts])
    shares = parts[0].weights.mean(axis=0)
    found = []
    for text in ("pile_cc", "github", "wikipedia_en", "arxiv", "hackernews", "mean"):
        losses = np.concatenate([part.mean if text == "mean" else part.losses[text] for part in parts])
        pure = np.array([float(bucket == text) for bucket in parts[0].buckets])
        target = Target.of_counts(pure) if pure.any() else None
        found.append(Pool(f"regmix-1m-{text}", weights, losses, shares, target, TRIALS))
    topics = olmix(bench.data, "dclm")
    found.append(Pool("olmix-dclm-mean", topics.weights, topics.mean, topics.weights.mean(axis=0), None, (32, 64)))
    small = admire(bench.data)["Qwen2.5-0.5B"]
    scores = small.mean
    found.append(Pool("admire-0.5b-average", small.weights, scores, small.weights.mean(axis=0), None, TRIALS))
    return [_without_repeats(pool) for pool in found]


def _without_repeats(pool: Pool) -> Pool:
    _, kept = np.unique(pool.weights, axis=0, return_index=True)
    kept.sort()
    return Pool(pool.name, pool.weights[kept], pool.losses[kept], pool.shares, pool.target, pool.trials)


def _searched(bench: Bench, pool: Pool, name: str, trials: int) -> Row:
    order = np.argsort(np.argsort(pool.losses))

    def one(seed: int) -> dict[str, float]:
        chosen, tried = on_table(name, pool.weights, pool.losses, pool.shares, trials, seed, pool.target)
        apart = pool.losses - pool.losses.min()
        return {"regret": float(apart[chosen]), "rank": int(order[chosen]), "tried": float(apart[tried])}

    most = None if name in MAIN else SEEDS_OF_OTHERS
    code = ("simulation", "public_tables", code_of(name))
    cells = bench.over_seeds(f"search/{pool.name}/{name}/{trials}", one, code, most)
    notes = {
        "mean_rank": round(float(np.mean([cell["rank"] for cell in cells])), 2),
        "found_the_best": sum(cell["rank"] == 0 for cell in cells) / len(cells),
        "best_evaluated": round(float(np.mean([cell["tried"] for cell in cells])), 5),
    }
    return Row.of(
        f"search/{pool.name}/{trials}/{name}", [cell["regret"] for cell in cells], "from the best", trials, **notes
    )


def _of_rule(pool: Pool, name: str) -> float:
    mixtures = {
        "natural": pool.shares,
        "uniform": np.full(len(pool.shares), 1 / len(pool.shares)),
        "entropy": np.sqrt(pool.shares) / np.sqrt(pool.shares).sum(),
    }
    if pool.target is not None:
        mixtures["nearest"] = pool.target.counts / pool.target.counts.sum()
    row = closest(pool.weights, mixtures[name])
    index = int(np.flatnonzero((pool.weights == row).all(axis=1))[0])
    return float(pool.losses[index] - pool.losses.min())
