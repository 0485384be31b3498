"""The job `build_dataset` in this process, on the record of a Dagster instance inside the workspace.

What `sirdar demo` runs: the same definitions as the UI shows, without a step's process start (0.5 s against
2.1, see EXECUTOR), with the caller's progress bars and none of Dagster's log on the terminal.
"""

import fcntl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES  # not public; dagster is pinned

from assets.automation import build_dataset
from assets.crawl import registration
from assets.definitions import build
from assets.partitions import crawls, range_tags
from assets.resources import watched
from mixer import lineage as mixing
from pipelines import corpus as workspaces
from pipelines.corpus import Corpus, Progress
from pipelines.crawls import Crawl
from pipelines.errors import InputError, LeaseError, SirdarError
from pipelines.store import Workspace

HOME = ".dagster"
IN_PROCESS = "sirdar/in_process"
# For one person on one machine: `dagster dev` brings the daemon, which runs what is queued.
INSTANCE = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    granularity: op
    default_limit: 1
  runs:
    max_concurrent_runs: 1
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
"""


def materialise(workspace: str, progress: Progress) -> bool:
    """Run the whole job over all crawls of a local workspace, where anything is missing; True when all is there.

    Errors come as the stage raised them; a blocking claim that does not hold is a SirdarError that names it.
    """
    corpus = workspaces.opened(Workspace(workspace), progress)
    if not corpus.crawls:
        raise InputError(f"no crawl in {workspace}; register one: sirdar build INPUT... --workspace {workspace}")
    job = build(workspace).resolve_job_def(build_dataset.name)
    with _alone(workspace), opened(workspace) as instance, watched(workspace, progress):
        _end_killed(instance)
        if _is_done(corpus, instance):
            return True
        add_partitions(corpus.crawls, instance)
        try:
            ended = job.execute_in_process(
                instance=instance,
                tags={**range_tags(corpus.crawls[0].name, corpus.crawls[-1].name), IN_PROCESS: "yes"},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        except dg.DagsterError as error:  # a blocking claim, whose own type is not public
            raise SirdarError(f"{' '.join(str(error).split())}; the claim's numbers are in the UI") from error
    return ended.success


def add_partitions(found: Sequence[Crawl], instance: dg.DagsterInstance) -> None:
    """A partition and a materialisation of `crawl_files` for each crawl that has none, in their order."""
    there = set(instance.get_dynamic_partitions(str(crawls.name)))
    new = [crawl for crawl in found if crawl.name not in there]
    instance.add_dynamic_partitions(str(crawls.name), [crawl.name for crawl in new])
    for crawl in new:
        instance.report_runless_asset_event(registration(crawl))


def _is_done(corpus: Corpus, instance: dg.DagsterInstance) -> bool:
    """Whether a run that ended well recorded the dataset of exactly these crawls and settings.

    Its address covers the content of everything before it, so nothing else has to be looked at.
    """
    try:
        stage = mixing.dataset(corpus)
    except SirdarError:
        return False
    latest = instance.get_latest_materialization_event(dg.AssetKey("dataset"))
    if latest is None or latest.asset_materialization is None or stage.manifest() is None:
        return False
    run = instance.get_run_by_id(latest.run_id)
    place = latest.asset_materialization.metadata["dagster/uri"].value
    return run is not None and run.is_success and place == corpus.workspace.path(stage.label)


@contextmanager
def _alone(workspace: str) -> Iterator[None]:
    """One such run a workspace; the kernel frees the lock however its holder ends."""
    folder = Workspace(workspace).local(HOME)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "in-process.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LeaseError(f"another process runs the job in {workspace}; wait for it or stop it") from None
        yield


def _end_killed(instance: dg.DagsterInstance) -> None:
    """End the runs whose process was killed: they would hold the run queue and the slots of pools for ever."""
    unfinished = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
    for run in instance.get_runs(dg.RunsFilter(tags={IN_PROCESS: "yes"}, statuses=unfinished)):
        instance.report_run_failed(run, "its process was killed")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def opened(workspace: str) -> dg.DagsterInstance:
    """The instance inside a local workspace, made where there is none."""
    home = Workspace(workspace).local(HOME)
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        settings.write_text(INSTANCE, encoding="utf-8")
    return dg.DagsterInstance.from_config(str(home))


def main() -> None:
    """`python -m assets.run WORKSPACE`: what `sirdar demo` starts, since the command may not import Dagster."""
    from rich.console import Console
    from rich.markup import escape

    from mixer.console import Bars

    console = Console(stderr=True)
    try:
        with Bars(console) as bars:
            materialise(sys.argv[1], bars)
    except SirdarError as error:
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
