"""The graph of the whole job: which stage needs which, claims about each, one job, one sensor, one schedule.

    crawl_files -> documents -> edits, signals, embeddings, scores -> verdicts -> signatures, duplicates
    embeddings, duplicates -> centroids -> fine_clusters -> tokens -> clusters -> pools
    pools -> search/round_1/proxy_runs -> search/round_1/predictor -> ... -> mixture -> comparison -> dataset

Only names, dependencies, claims and metadata live here: each asset calls one function of `pipelines` or
`mixer`, which the command `sirdar` calls too. Plain Python and no components or YAML: there is one of each
step. The workspace is $SIRDAR_WORKSPACE, `demo` where that is not set.
"""

import dagster as dg

from assets import automation, clusters, columns, corpus, crawl, mixture, search
from assets.resources import CorpusResource
from pipelines import configuration
from pipelines import corpus as workspaces
from pipelines.store import Workspace

# A process a step, since what torch or a crash takes then goes with it; they fork from a server that has imported
# dagster, and go one at a time, since a stage uses all cores by itself. Measured on two cores: 2.1 s a step where
# nothing is left to do, 0.5 s in one process, as `sirdar demo` runs (assets/run.py).
EXECUTOR = dg.multiprocess_executor.configured(
    {"max_concurrent": 1, "start_method": {"forkserver": {"preload_modules": ["assets.definitions"]}}},
    name="one_process_a_step",
)


def build(workspace: str) -> dg.Definitions:
    """The definitions for one workspace; its settings say how many rounds the search has."""
    rounds = search.search_rounds(num_rounds(workspace))
    modules = [crawl, columns, corpus, clusters, mixture]
    return dg.Definitions(
        assets=[*dg.load_assets_from_modules(modules, include_specs=True), *rounds, mixture.mixture_after(rounds[-1])],
        asset_checks=dg.load_asset_checks_from_modules(modules),
        jobs=[automation.build_dataset],
        sensors=[automation.new_crawls(workspace)],
        schedules=[automation.monthly(workspace)],
        resources={"workspace": CorpusResource(workspace=workspace)},
        executor=EXECUTOR,
    )


def num_rounds(workspace: str) -> int:
    """Of the workspace's settings, or of the preset that a new one would have."""
    place = Workspace(workspace)
    chosen = workspaces.opened(place).settings if place.exists(workspaces.SETTINGS_FILE) else configuration.load()
    return len(chosen.search.rounds)


@dg.definitions
def definitions() -> dg.Definitions:
    return build(dg.EnvVar("SIRDAR_WORKSPACE").get_value("demo") or "demo")
