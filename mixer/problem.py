"""The problem that a search's settings make: which mixtures are allowed, which come first, which are ranked."""

from collections.abc import Sequence

from mixer import candidates
from mixer.candidates import Space
from mixer.predictors.choice import predictor
from mixer.strategies.choice import strategy
from mixer.strategies.reuse import Frozen, Groups
from mixer.strategy import Problem, Strategy, Target
from pipelines.settings import Search


def problem_of(
    settings: Search,
    token_counts: Sequence[int],
    target: Target,
    *,
    budget_tokens: int,
    tasks: Sequence[str] = (),
    weights: Sequence[float] = (),
    groups: Groups | None = None,
) -> Problem:
    """What every strategy of these settings is made from; the start sampler is drawn for all trials at once.

    `target`: of all clusters. `tasks` and `weights`: as in Problem. `groups`: of frozen clusters, which the problem is
    then among.
    """
    space = Space.of(token_counts, budget_tokens=budget_tokens, max_epochs=settings.max_epochs)
    if groups is not None:
        space, target = groups.space(space), groups.target(target)
    own = settings.predictor
    return Problem(
        space=space,
        start=candidates.start(space, sum(settings.rounds), seed=settings.seed),
        pool=candidates.pool(space, settings.candidates, concentration=settings.concentration, seed=settings.seed),
        seed=settings.seed,
        target=target,
        tasks=tuple(tasks),
        weights=tuple(weights),
        predictor=predictor(own, settings.seed, token_counts, (settings.tokens,)) if own else None,
    )


def strategy_of(settings: Search, problem: Problem, groups: Groups | None = None) -> Strategy:
    """The strategy of these settings, whose mixtures are of all clusters."""
    made = strategy(settings.strategy, problem)
    return made if groups is None else Frozen(groups, made)
