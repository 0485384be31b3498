"""Do cheap proxies rank mixtures as a run of ten times the largest proxy's compute does? As a curve over their cost.

Mixtures are draws of the start sampler, the same for all sizes; a pair is ranked rightly where the proxy's losses order
it as the large run's do. What two seeds of the large run agree on is the most that any proxy could reach.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from cells import Bench, Row
from domains import FINAL, SEARCH, TARGETS, VOCABULARY, World, world
from training import Trainings

from mixer.candidates import Space, start
from mixer.predictors.validation import rank_correlation
from mixer.proxies.size import flops_per_token
from mixer.trial import Trial
from pipelines.search_settings import Proxy

MIXTURES = 24
SMALL = Proxy(width=32, layers=1)
MIDDLE = Proxy()  # width 64, 2 layers
LARGE = Proxy(width=128, layers=4, batch=8, learning_rate=4e-3)
PROXIES = (
    *(("width 32", SMALL, tokens) for tokens in (12_500, 25_000, 50_000, 100_000)),
    *(("width 64", MIDDLE, tokens) for tokens in (12_500, 25_000, 50_000, 100_000)),
)
TIMES = 10  # the largest proxy's compute
PROXY_SEEDS = (0, 1, 2)
LARGE_SEEDS = (100, 101)
AGAIN = 12  # mixtures that the large run's second seed trains


@dataclass(frozen=True)
class Size:
    """A proxy and its budget; `cost` in floating-point operations."""

    name: str
    proxy: Proxy
    tokens: int

    @property
    def cost(self) -> float:
        return float(flops_per_token(self.proxy, VOCABULARY)) * self.tokens


def sizes(shrink: int = 1) -> tuple[list[Size], Size]:
    """Proxies, and the large run; `shrink` divides all budgets."""
    found = [Size(name, proxy, tokens // shrink) for name, proxy, tokens in PROXIES]
    most = TIMES * max(size.cost for size in found)
    return found, Size("width 128", LARGE, round(most / flops_per_token(LARGE, VOCABULARY)))


def measure(bench: Bench) -> Iterator[Row]:
    yield from transfer(bench, world(bench.data, bench.work), MIXTURES)


def transfer(bench: Bench, texts: World, num: int, shrink: int = 1) -> Iterator[Row]:
    """Rows of both targets; every training is journalled in the work folder."""
    space = Space.of(texts.token_counts, budget_tokens=sum(texts.token_counts) // 4, max_epochs=15)
    mixtures = start(space, num, seed=0)
    proxies, large = sizes(shrink)
    with Trainings(bench.work / "transfer", texts, bench.processes) as trainings:

        def asked(size: Size, seed: int, split: str, most: int = num) -> list[Trial]:
            return [trainings.trial(row, size.proxy, size.tokens, seed, split) for row in mixtures[:most]]

        small = [trial for size in proxies for seed in PROXY_SEEDS for trial in asked(size, seed, SEARCH)]
        runs = [asked(large, LARGE_SEEDS[0], FINAL), asked(large, LARGE_SEEDS[1], FINAL, AGAIN)]
        told = trainings.losses([*small, *runs[0], *runs[1]])

        def losses(trials: list[Trial], name: str) -> np.ndarray:
            return np.array([told[trial.key][name] for trial in trials])

        for target in TARGETS:
            truth, again = (losses(trials, f"{FINAL}/{target}") for trials in runs)
            first = truth[: len(again)]
            noise = {"noise": float((first - again).std(ddof=1) / np.sqrt(2)), "apart": float(truth.std(ddof=1))}
            yield from _rows(f"transfer/{target}/ceiling", [_agreement(again, first)], large, len(again), **noise)
            for size in proxies:
                name, share = f"transfer/{target}/{size.name}/{size.tokens}", size.cost / large.cost
                seen = np.array([losses(asked(size, seed, SEARCH), f"{SEARCH}/{target}") for seed in PROXY_SEEDS])
                yield from _rows(f"{name}/one", [_agreement(row, truth) for row in seen], size, num, share=share)
                mean = _agreement(seen.mean(axis=0), truth)
                yield from _rows(f"{name}/mean-of-{len(seen)}", [mean], size, num, share=len(seen) * share)


def _agreement(proxy: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Share of pairs ranked alike, rank correlation, and how far the proxies' best is from the truth's best."""
    pairs = [(proxy[i] - proxy[j]) * (truth[i] - truth[j]) > 0 for i, j in combinations(range(len(proxy)), 2)]
    return float(np.mean(pairs)), rank_correlation(proxy, truth), float(truth[np.argmin(proxy)] - truth.min())


def _rows(name: str, found: list[tuple[float, float, float]], size: Size, num: int, **notes: float) -> Iterator[Row]:
    about = {"flops": size.cost, "tokens": size.tokens, **{key: round(value, 5) for key, value in notes.items()}}
    for kind, unit, values in zip(
        ("pairs", "correlation", "regret"),
        ("share of pairs", "Spearman", "nats from the best"),
        zip(*found, strict=True),
        strict=True,
    ):
        yield Row.of(f"{name}/{kind}", list(values), unit, num, **about)
