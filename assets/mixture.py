"""The end: the mixture found, what it is worth beside the others, and the shards."""

import dagster as dg

from assets import claims
from assets.resources import CorpusResource
from assets.results import Materialised, checked, claim, once


def mixture_after(last_round: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The asset `mixture`, downstream of the search's last predictor."""

    @dg.asset(
        deps=[last_round],
        group_name="mixture",
        kinds={"torch"},
        pool="gpu",
        check_specs=[claim("weights_sum_to_one", "mixture")],
    )
    def mixture(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
        """What the search recommends, beside natural, uniform, nearest, entropy and random search."""
        from mixer.stages import run_mixture

        return once(context, workspace, run_mixture, weights_sum_to_one=claims.weights_sum_to_one)

    return mixture


@dg.asset(
    deps=["mixture"],
    group_name="mixture",
    kinds={"torch"},
    pool="gpu",
    check_specs=[claim("beats_baselines", "comparison", blocking=False)],
)
def comparison(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """Models trained on each mixture with paired seeds, judged on documents that no search saw."""
    from mixer.stages import run_comparison

    return once(context, workspace, run_comparison, beats_baselines=claims.beats_baselines)


@dg.asset(deps=["mixture", comparison], group_name="mixture", kinds={"beam", "parquet"})
def dataset(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """Ready-to-train shards of whole documents drawn by the mixture, with card and manifest."""
    from mixer.stages import run_dataset

    return once(context, workspace, run_dataset)


@dg.asset_check(asset=dataset, blocking=True)
def shards_match_manifest(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> dg.AssetCheckResult:
    """Sizes, hashes, rows, splits and weights are those of the manifest."""
    return checked(context, workspace, claims.shards_match_manifest)


@dg.asset_check(asset=dataset, blocking=True)
def no_target_in_dataset(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> dg.AssetCheckResult:
    """No row has the text of a held-out document."""
    return checked(context, workspace, claims.no_target_in_dataset)


@dg.asset_check(asset=dataset, blocking=True)
def no_test_in_dataset(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> dg.AssetCheckResult:
    """No row shares a word n-gram with a test of `decontamination.sets`."""
    return checked(context, workspace, claims.no_test_in_dataset)
