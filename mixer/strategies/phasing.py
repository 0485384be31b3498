"""Searches of several phases: which rows each strategy draws from, and the strategies by name.

What ranks a pool or measures its draws takes rows of all phases as it takes others. Methods that solve for one
mixture, and rules, have one phase and say so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixer import candidates, phases
from mixer.candidates import Floats, Space
from mixer.strategies import rules
from mixer.strategies.annealing import annealing
from mixer.strategies.choice import STRATEGIES as OF_ONE_PHASE
from mixer.strategies.phased import automatic, phased_bayes
from mixer.strategies.remixing import Remixing
from mixer.strategy import Problem, Strategy, Target
from pipelines.errors import SettingsError


def _nearest(space: Space, target: Target | None) -> Floats:
    if target is None:
        raise SettingsError("search.early = 'nearest' needs the target's documents, and none are given")
    return rules.nearest(space, target.counts)


EARLY: dict[str, Callable[[Space, Target | None], Floats]] = {
    "natural": lambda space, target: rules.natural(space),
    "uniform": lambda space, target: rules.uniform(space),
    "unimax": lambda space, target: rules.unimax(space),
    "entropy": lambda space, target: rules.entropy(space),
    "nearest": _nearest,
}


@dataclass(frozen=True, slots=True)
class Phasing:
    """`shares`: of a trial's tokens, by phase. `early`: the rule that `annealing` goes by before the last phase, or the
    weights that it trains on there.
    """

    shares: tuple[float, ...]
    num_rounds: int = 1
    early: str | tuple[float, ...] = "natural"

    def strategy(self, name: str, problem: Problem) -> Strategy:
        """The strategy of this name over such rows as `drawn`; SettingsError for one that has a single phase."""
        if name not in STRATEGIES:
            raise SettingsError(
                f"the strategy {name!r} finds one mixture for the whole training, and there are {len(self.shares)}"
                f" phases; take one of {', '.join(STRATEGIES)}, or one phase"
            )
        return STRATEGIES[name](problem, self)

    def drawn(
        self, name: str, space: Space, target: Target | None, n: int, num: int, concentration: float, seed: int
    ) -> tuple[Floats, Floats]:
        """Rows that a strategy starts from, n of them, and rows that it ranks, of `num` draws."""
        if name not in ("annealing", "remixing"):
            start = phases.start(space, self.shares, n, seed=seed)
            return start, phases.pool(space, self.shares, num, concentration=concentration, seed=seed)
        tail = self.last(space, target) if name == "annealing" else phases.Tail.whole(self.shares, len(space.shares))
        searched = tail.space(space)
        start = candidates.start(searched, n, seed=seed)
        pool = candidates.pool(searched, num, concentration=concentration, seed=seed)
        return tail.expand(start), tail.expand(pool)

    def last(self, space: Space, target: Target | None) -> phases.Tail:
        """The last phase, after the early mixture in all others."""
        row = EARLY[self.early](space, target) if isinstance(self.early, str) else np.array(self.early)
        return phases.Tail(self.shares, np.tile(row, (len(self.shares) - 1, 1)))


def _any_rows(made: Callable[[Problem], Strategy]) -> Callable[[Problem, Phasing], Strategy]:
    """A strategy to which rows of phases are as good as any."""
    return lambda problem, phasing: made(problem)


RANKING = ("climb", "climb-paper", "climb-recipe", "regmix", "regmix-notebook", "random")
STRATEGIES: dict[str, Callable[[Problem, Phasing], Strategy]] = {
    "auto": lambda problem, phasing: automatic(problem, phasing.shares),
    "bayes": lambda problem, phasing: phased_bayes(problem, phasing.shares),
    "annealing": lambda problem, phasing: annealing(problem, phasing.last(problem.space, problem.target)),
    "remixing": lambda problem, phasing: Remixing(problem, phasing.shares, phasing.num_rounds),
    **{name: _any_rows(OF_ONE_PHASE[name]) for name in RANKING},
}
