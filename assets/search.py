"""The search, its rounds unrolled: a graph has no loops, and a round is what a person looks at and runs again.

Trials are lines of the journal, not assets. How many rounds there are is read when the definitions load.
"""

from functools import partial

import dagster as dg

from assets import claims
from assets.clusters import evaluations, pools
from assets.resources import CorpusResource
from assets.results import Materialised, claim, once


def search_rounds(count: int) -> list[dg.AssetsDefinition]:
    """proxy_runs and predictor of rounds 1 to `count`, each round after the one before."""
    rounds: list[dg.AssetsDefinition] = []
    for number in range(1, count + 1):
        rounds += search_round(number, after=rounds[-1:] or [pools, evaluations])
    return rounds


def search_round(number: int, *, after: list[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Train a round's proxies, then refit the predictor on all rounds so far."""
    prefix = ["search", f"round_{number}"]

    @dg.asset(
        key_prefix=prefix,
        deps=after,
        group_name="search",
        kinds={"torch"},
        pool="gpu",
        description=f"Round {number}: candidate mixtures, and a proxy model trained on each.",
        check_specs=[claim("enough_trials_succeeded", [*prefix, "proxy_runs"])],
    )
    def proxy_runs(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
        from mixer.stages import run_round

        run = partial(run_round, number=number)
        return once(context, workspace, run, enough_trials_succeeded=claims.enough_trials_succeeded)

    @dg.asset(
        key_prefix=prefix,
        deps=[proxy_runs],
        group_name="search",
        kinds={"lightgbm"},
        description=f"Weights to loss, fitted on all proxies of rounds 1 to {number}.",
        check_specs=[claim("rank_correlation_above_chance", [*prefix, "predictor"], blocking=False)],
    )
    def predictor(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
        from mixer.stages import run_predictor

        run = partial(run_predictor, number=number)
        return once(context, workspace, run, rank_correlation_above_chance=claims.rank_correlation_above_chance)

    return [proxy_runs, predictor]
