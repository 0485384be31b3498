"""A strategy's search where a function or a table of finished runs answers in the place of training."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
from cells import code_of_module
from landscapes import Landscape

from mixer.candidates import Space, pool, start
from mixer.prediction import Predictor
from mixer.predictors.choice import PREDICTORS
from mixer.strategies.choice import STRATEGIES, strategy
from mixer.strategy import History, Problem, Strategy, Target

SHARES = (4, 2, 1)  # of the trials in CLIMB's rounds
SMALL_SHARES = (2, 1, 1, 1, 1, 1)  # in those of the presets, for the search that gains from more rounds
MAIN = {"auto", "climb", "regmix", "bayes", "random"}  # as many seeds as are asked for
SEEDS_OF_OTHERS = 50
ONE_ROUND = {"regmix", "regmix-notebook", "olmix", "mixing-laws", "modomodo", "random"}
CANDIDATES = 20_000


def rounds_of(trials: int, name: str) -> tuple[int, ...]:
    """Trials of each round: all at once for the methods that are defined so, as the presets for `auto`, or 4:2:1."""
    if name in ONE_ROUND:
        return (trials,)
    shares = SMALL_SHARES if name == "auto" else SHARES
    later = [trials * share // sum(shares) for share in shares[1:]]
    return (trials - sum(later), *later)


def searched(
    made: Strategy, measure: Callable[[np.ndarray], np.ndarray], rounds: Sequence[int], num_buckets: int
) -> tuple[np.ndarray, History]:
    """What a strategy ends with, and what it was shown. `measure`: (rows, buckets) to losses."""
    history = History.empty(num_buckets)
    for number, trials in enumerate(rounds, 1):
        rows = made.propose(history, trials)
        numbers = np.concatenate([history.rounds, np.full(len(rows), number, np.int64)])
        losses = np.concatenate([history.losses, measure(rows)])
        history = History(np.concatenate([history.weights, rows]), losses, numbers, {})
    return made.recommend(history), history


def on_landscape(
    name: str,
    landscape: Landscape,
    trials: int,
    seed: int,
    predictor: Predictor | None = None,
    candidates: int = CANDIDATES,
) -> tuple[float, History, Strategy]:
    """Regret in nats of one search over a landscape of one phase, and what it saw."""
    space = Space.of(
        [int(count) for count in landscape.tokens], budget_tokens=int(landscape.tokens.sum()), max_epochs=100
    )
    problem = Problem(
        space=space,
        start=start(space, trials, seed=seed),
        pool=pool(space, candidates, concentration=1.0, seed=seed),
        seed=seed,
        target=Target(landscape.topics @ landscape.needs, landscape.topics.T, landscape.needs),
        predictor=predictor,
    )
    made = strategy(name, problem)
    found, history = searched(
        made, lambda rows: landscape.measured(rows, seed), rounds_of(trials, name), landscape.num_buckets
    )
    return landscape.regret(found), history, made


def on_table(
    name: str,
    weights: np.ndarray,
    losses: np.ndarray,
    shares: np.ndarray,
    trials: int,
    seed: int,
    target: Target | None = None,
    predictor: Predictor | None = None,
) -> tuple[int, int]:
    """The row that a search among a table's mixtures ends with, and the best row that it tried.

    `shares`: what counts as natural.
    """
    order = np.random.default_rng([seed, 7]).permutation(len(weights))
    problem = Problem(
        space=Space.free(shares),
        start=weights[order],
        pool=weights,
        seed=seed,
        target=target,
        predictor=predictor,
        listed=True,
    )
    rows = {row.tobytes(): index for index, row in enumerate(weights)}

    def measure(mixtures: np.ndarray) -> np.ndarray:
        return losses[[rows[row.tobytes()] for row in mixtures]]

    found, history = searched(strategy(name, problem), measure, rounds_of(trials, name), weights.shape[1])
    tried = history.weights[np.argmin(history.losses)]
    return rows[found.tobytes()], rows[tried.tobytes()]


def code_of(name: str) -> str:
    """What a strategy of this name is: a digest of its modules, and the settings that it is made with."""
    few = np.random.default_rng(0).dirichlet(np.ones(3), 8)
    problem = Problem(Space.free(np.ones(3)), few, few, target=Target.of_counts(np.ones(3)))
    maker = STRATEGIES.get(name)
    return _told(strategy(name, problem), "" if maker is None else maker.__module__)


def code_of_predictor(name: str) -> str:
    """The same of a predictor."""
    return _told(PREDICTORS[name](0), "")


def _told(made: object, module: str) -> str:
    settings = {one.name: getattr(made, one.name) for one in fields(made)}  # type: ignore[arg-type]
    parts = [f"{name}={value!r}" for name, value in settings.items() if name != "name" and not _of_problem(value)]
    modules = {type(made).__module__, module, *(type(value).__module__ for value in settings.values())} - {""}
    digests = [code_of_module(one) for one in sorted(modules) if one.startswith("mixer.")]
    return hashlib.blake2b(" ".join([*parts, *digests]).encode(), digest_size=6).hexdigest()


def _of_problem(value: object) -> bool:
    """Arrays, which the little problem gave, and what is made of them."""
    return isinstance(value, np.ndarray) or "array(" in repr(value)
