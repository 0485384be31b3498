"""Searches with real proxies on twelve domains of text, for a narrow and a broad target, strategy by strategy.

Every strategy has the same number of trials of one proxy; what each seed's search ends with then trains a model of four
times its size on more tokens, as do the rules' mixtures, measured on documents that no search saw. Seeds are paired:
one seed is the search's, the proxies' and the final run's of all. How much less training than the natural shares
reaches the same loss is read off natural's own curve over longer runs (measured), and off a power law fitted to that
curve up to the final tokens (predicted).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from cells import Bench, Row
from domains import FINAL, SEARCH, TARGETS, World, world
from simulation import code_of, rounds_of
from training import Trainings

from mixer.candidates import Space
from mixer.journal import read
from mixer.runs import loss_on
from mixer.search import MixtureSearch
from mixer.strategies import rules
from mixer.strategy import Target
from pipelines.search_settings import Proxy, Search

# `auto` last: what the others train it shares. `domain2vec` asks for topics, which domains have none of.
SEARCHES = (
    *("climb", "climb-paper", "climb-recipe", "regmix", "regmix-notebook", "olmix", "mixing-laws", "modomodo"),
    *("random", "bayes", "bayes-untrained", "bayes-fidelity", "auto"),
)
RULES = ("natural", "uniform", "unimax", "entropy", "nearest")
SEEDS = 5
FIRST_FINAL_SEED = 1000  # another than any search's, whose winner was chosen on that one's luck
EPOCHS = 0.25  # of all domains: the large run that the mixtures are for, by which `unimax` caps
UNREACHED = 64.0  # what a speed-up is told as where the fitted curve never comes so low


@dataclass(frozen=True)
class Plan:
    """Sizes of the experiment. `curve`: natural's budgets, in units of the final one.

    A proxy of this size and budget ranks mixtures as a final run does at .88 to .97 (bench_transfer.py), for a tenth
    of its time.
    """

    trials: int = 32
    tokens: int = 50_000
    fidelities: tuple[float, ...] = (0.25, 1.0)  # that `bayes-fidelity` may buy, for the tokens of as many whole trials
    final_tokens: int = 120_000
    curve: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    candidates: int = 20_000
    proxy: Proxy = field(default_factory=lambda: Proxy(width=32, layers=1))
    final: Proxy = field(default_factory=Proxy)  # width 64, 2 layers


def measure(bench: Bench) -> Iterator[Row]:
    yield from searched(bench, world(bench.data, bench.work), Plan(), SEEDS, SEARCHES)


def searched(bench: Bench, texts: World, plan: Plan, seeds: int, names: Sequence[str]) -> Iterator[Row]:
    """Rows of both targets."""
    budget = int(EPOCHS * sum(texts.token_counts))
    space = Space.of(texts.token_counts, budget_tokens=budget, max_epochs=Search().max_epochs)
    with Trainings(bench.work / "real", texts, bench.processes) as trainings:
        ends = {
            (target, name): [_search(trainings, texts, plan, target, name, seed) for seed in range(seeds)]
            for name in names
            for target in TARGETS
        }
        for target in TARGETS:
            made = {"unimax": rules.unimax(space), **rules.all_of(space, Target.of_counts(texts.nearest[target]))}
            mixtures = {name: [made[name]] * seeds for name in RULES}
            mixtures |= {name: [weights for weights, _ in ends[target, name]] for name in names}
            costs = {name: float(np.mean([seconds for _, seconds in ends[target, name]])) for name in names}
            losses = {
                name: _losses(trainings, plan, target, by_seed, plan.final_tokens) for name, by_seed in mixtures.items()
            }
            curve = {
                times: _losses(trainings, plan, target, mixtures["natural"], round(times * plan.final_tokens))
                for times in plan.curve
            }
            yield from _rows(target, plan, losses, curve, costs)


def _search(
    trainings: Trainings, texts: World, plan: Plan, target: str, name: str, seed: int
) -> tuple[np.ndarray, float]:
    """What the strategy ends with under this seed, and the seconds of training that its trials cost."""
    search = MixtureSearch(
        folder=trainings.folder / "searches" / f"{target}-{name}-{seed}-{code_of(name)}",
        token_counts=texts.token_counts,
        target=Target.of_counts(texts.nearest[target]),
        proxy=plan.proxy,
        settings=Search(
            strategy=name,
            rounds=rounds_of(plan.trials, name),
            tokens=plan.tokens,
            candidates=plan.candidates,
            fidelities=plan.fidelities if name == "bayes-fidelity" else (),
            seed=seed,
        ),
        data=texts.data(SEARCH),
        objective=loss_on(f"{SEARCH}/{target}"),
        budget_tokens=int(EPOCHS * sum(texts.token_counts)),
    )
    for number in search.rounds:
        search.propose_round(number)
        search.train_round(number, trainings)
    return np.array(search.recommend().schedule.weights), sum(entry.result.seconds for entry in read(search.journal))


def _losses(trainings: Trainings, plan: Plan, target: str, by_seed: Sequence[np.ndarray], tokens: int) -> np.ndarray:
    """(seeds,) nats on what no search saw, of the mixture of each seed."""
    trials = [
        trainings.trial(weights, plan.final, tokens, FIRST_FINAL_SEED + seed, FINAL)
        for seed, weights in enumerate(by_seed)
    ]
    told = trainings.losses(trials)
    return np.array([told[trial.key][f"{FINAL}/{target}"] for trial in trials])


def _rows(
    target: str,
    plan: Plan,
    losses: Mapping[str, np.ndarray],
    curve: Mapping[float, np.ndarray],
    costs: Mapping[str, float],
) -> Iterator[Row]:
    best_rule = min(RULES, key=lambda name: losses[name].mean())
    noise = luck(np.array([losses[name] for name in RULES]))
    ahead = {name: losses[best_rule] - losses[name] for name in losses}
    # Of the mean of paired differences; a search that is not twice that ahead is level with the rule.
    error = noise * np.sqrt(2 / len(losses[best_rule]))
    informative = any(ahead[name].mean() > 2 * error for name in costs)
    for times, values in curve.items():
        yield Row.of(f"real/{target}/natural-curve/{times:g}", list(values), "nats", round(times * plan.final_tokens))
    for name, values in losses.items():
        notes = {
            "ahead_of_best_rule": round(float(ahead[name].mean()), 4),
            "in_spreads": round(float(ahead[name].mean() / noise), 2),
            "one_run_spread": round(noise, 4),
            "best_rule": best_rule,
            "informative": informative,
        }
        if name in costs:
            notes |= {"trials": plan.trials, "trial_tokens": plan.tokens, "training_seconds": round(costs[name], 1)}
        yield Row.of(f"real/{target}/final/{name}", list(values), "nats", plan.final_tokens, **notes)
        for kind, known in (("measured", curve), ("predicted", fitted(curve))):
            # Against natural of the same seed, whose luck is then in neither.
            paired = values - losses["natural"] + losses["natural"].mean()
            factors = [speed_up(float(loss), known) for loss in paired]
            limit = max(known)
            told = {"at_the_limit": sum(factor >= limit for factor in factors), "limit": limit}
            yield Row.of(f"real/{target}/speed-up/{kind}/{name}", factors, "times natural", plan.final_tokens, **told)


def luck(losses: np.ndarray) -> float:
    """Standard deviation of one run, (mixtures, seeds), beside what its mixture and its seed do."""
    rest = losses - losses.mean(axis=0) - losses.mean(axis=1, keepdims=True) + losses.mean()
    return float(np.sqrt((rest**2).sum() / ((losses.shape[0] - 1) * (losses.shape[1] - 1))))


def speed_up(loss: float, curve: Mapping[float, np.ndarray]) -> float:
    """Multiples of the final tokens after which the curve is at the loss, between its points by their logarithms."""
    times = np.array(sorted(curve))
    # Never rising, so that each loss is reached once; from the lowest up, as interpolation wants it.
    means = np.minimum.accumulate([float(np.mean(curve[at])) for at in times])
    return float(np.exp(np.interp(loss, means[::-1], np.log(times[::-1]))))


def fitted(curve: Mapping[float, np.ndarray]) -> dict[float, np.ndarray]:
    """The power law floor + height * tokens ** -slope of the points up to the final tokens, far beyond them."""
    times = np.array([at for at in sorted(curve) if at <= 1])
    means = np.array([float(np.mean(curve[at])) for at in times])
    laws = []
    for floor in np.linspace(0, means.min() * 0.98, 99):
        slope, level = np.polyfit(np.log(times), np.log(means - floor), 1)
        error = float(((floor + np.exp(level + slope * np.log(times)) - means) ** 2).sum())
        laws.append((error, floor, slope, level))
    _, floor, slope, level = min(laws)
    return {float(at): floor + np.exp(level + slope * np.log([at])) for at in np.geomspace(times.min(), UNREACHED, 400)}
