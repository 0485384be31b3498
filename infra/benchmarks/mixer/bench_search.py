"""Searches among a table's own mixtures: how far what a strategy ends with is from the table's best.

The zero-training rules stand beside, as the listed mixture nearest to theirs. Where one of them ends at least as near
as the best search of as many evaluations, the pool says nothing about searches, and its rows are labelled so.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cells import Bench, Row
from public_tables import admire, olmix, regmix
from simulation import on_table

from mixer.strategies.choice import STRATEGIES
from mixer.strategies.rules import closest
from mixer.strategy import Target

TRIALS = (32, 64, 112)
# RegMix's two variants differ in how many mixtures they average, and of a list one is chosen.
SEARCHES = tuple(name for name in STRATEGIES if name != "regmix-notebook")
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
        best_rule = min(rules, key=lambda name: rules[name])
        for trials in pool.trials:
            rows = [_searched(bench, pool, name, trials) for name in SEARCHES]
            searches = [row for row in rows if row.name.split("/")[-1] != "random"]
            told = min(row.value for row in searches if row.value is not None) < rules[best_rule] - 1e-12
            for row in rows:
                notes = {**row.notes, "informative": told, "best_rule": best_rule}
                yield Row(row.name, row.value, row.unit, row.n, row.seeds, row.spread, notes)
        for name, regret in rules.items():
            yield Row(f"search/{pool.name}/rule/{name}", regret, "from the best", 0, 1)


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
    scores = small.losses["avg_id+ood"]
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

    cells = bench.over_seeds(f"search/{pool.name}/{name}/{trials}", one)
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
