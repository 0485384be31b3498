"""Strategies by the names that settings and tables use, each made from a problem."""

from collections.abc import Callable

from mixer.strategies import rules
from mixer.strategies.bayes import automatic, bayes, surrogate
from mixer.strategies.climb import climb, climb_paper, climb_recipe
from mixer.strategies.domain2vec import domain2vec
from mixer.strategies.fidelity import multi_fidelity
from mixer.strategies.modomodo import modomodo
from mixer.strategies.olmix import mixing_laws, olmix
from mixer.strategies.random_search import RandomSearch
from mixer.strategies.regmix import regmix, regmix_notebook
from mixer.strategy import Problem, Strategy
from pipelines.errors import SettingsError

STRATEGIES: dict[str, Callable[[Problem], Strategy]] = {
    # What to take where nobody says. Over the public tables and the planted problems of infra/benchmarks/mixer, at 32
    # to 112 trials, Bayesian search ends nearest to the best mixture, and it needs no setting.
    "auto": automatic,
    "climb": climb,
    "climb-paper": climb_paper,
    "climb-recipe": climb_recipe,
    "regmix": regmix,
    "regmix-notebook": regmix_notebook,
    "bayes": bayes,
    "bayes-untrained": surrogate,
    "bayes-fidelity": multi_fidelity,
    "olmix": olmix,
    "mixing-laws": mixing_laws,
    "modomodo": modomodo,
    "random": lambda problem: RandomSearch(problem.start),
}
# Take the start sampler in order, whatever was measured.
IN_ORDER = frozenset({"regmix", "regmix-notebook", "olmix", "mixing-laws", "modomodo", "random"})
# Train nothing: what they would propose is their one mixture.
RULES: dict[str, Callable[[Problem], Strategy]] = {
    "natural": rules.rule("natural", lambda problem: rules.natural(problem.space)),
    "uniform": rules.rule("uniform", lambda problem: rules.uniform(problem.space)),
    "unimax": rules.rule("unimax", lambda problem: rules.unimax(problem.space)),
    "entropy": rules.rule("entropy", lambda problem: rules.entropy(problem.space)),
    "nearest": rules.rule("nearest", rules.nearest_of),
    "domain2vec": rules.rule("domain2vec", domain2vec),
}


def strategy(name: str, problem: Problem) -> Strategy:
    """The strategy of this name; SettingsError naming those there are."""
    known = {**STRATEGIES, **RULES}
    if name not in known:
        raise SettingsError(f"no strategy is called {name!r}; there are: {', '.join(known)}")
    return known[name](problem)
