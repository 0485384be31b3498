"""The problem that a search's settings make: which mixtures are allowed, which come first, which are ranked."""

from collections.abc import Sequence

import numpy as np

from mixer import candidates, phases
from mixer.candidates import Floats, Space
from mixer.predictors.choice import predictor
from mixer.strategies.choice import strategy
from mixer.strategies.phasing import Phasing
from mixer.strategies.reuse import Frozen, Groups
from mixer.strategy import Problem, Strategy, Target
from pipelines.errors import SettingsError
from pipelines.search_settings import Search

TOLERANCE = 1e-6  # of shares that were written down


def problem_of(
    settings: Search,
    token_counts: Sequence[int],
    target: Target,
    *,
    budget_tokens: int,
    tasks: Sequence[str] = (),
    weights: Sequence[float] = (),
    groups: Groups | None = None,
    early: Sequence[float] = (),
) -> Problem:
    """What every strategy of these settings is made from; the start sampler is drawn for all trials at once.

    `target`: of all clusters. `tasks` and `weights`: as in Problem. `groups`: of frozen clusters, which the problem is
    then among. `early`: weights of all clusters before the last phase, in place of the rule search.early.
    """
    space = Space.of(token_counts, budget_tokens=budget_tokens, max_epochs=settings.max_epochs)
    if groups is not None:
        space, target = groups.space(space), groups.target(target)
    lengths = phases.lengths(settings.phases or (1.0,), settings.tokens)
    own = predictor(settings.predictor, settings.seed, token_counts, lengths) if settings.predictor else None
    start, pool = rows_of(settings, space, target, phasing_of(settings, groups, early))
    return Problem(
        space=space,
        start=start,
        pool=pool,
        seed=settings.seed,
        target=target,
        tasks=tuple(tasks),
        weights=tuple(weights),
        predictor=own,
        fidelities=settings.fidelities or (1.0,),
    )


def rows_of(settings: Search, space: Space, target: Target, phasing: Phasing | None) -> tuple[Floats, Floats]:
    """What is drawn to start from, for all trials at once, and what is ranked."""
    n, num, seed = sum(settings.rounds), settings.candidates, settings.seed
    if phasing is not None:
        return phasing.drawn(settings.strategy, space, target, n, num, settings.concentration, seed)
    start = candidates.start(space, n, seed=seed)
    return start, candidates.pool(space, num, concentration=settings.concentration, seed=seed)


def phasing_of(settings: Search, groups: Groups | None = None, early: Sequence[float] = ()) -> Phasing | None:
    """The phases asked for; None: one mixture for the whole training.

    SettingsError for an early mixture that frozen groups or bounds would change.
    """
    if not settings.phases:
        return None
    row = np.array(early)
    if len(row) and groups is not None:
        row = groups.reduce(row)
        if not np.allclose(groups.expand(row), early, atol=TOLERANCE):
            raise SettingsError(
                f"search.early = {settings.early!r} has other shares than search.frozen or search.bounds allow; take"
                " the frozen shares from that mixture too, or free its clusters"
            )
    return Phasing(settings.phases, len(settings.rounds), tuple(row.tolist()) or settings.early)


def strategy_of(
    settings: Search, problem: Problem, groups: Groups | None = None, early: Sequence[float] = ()
) -> Strategy:
    """The strategy of these settings, whose mixtures are of all clusters."""
    phasing = phasing_of(settings, groups, early)
    made = strategy(settings.strategy, problem) if phasing is None else phasing.strategy(settings.strategy, problem)
    return made if groups is None else Frozen(groups, made)
