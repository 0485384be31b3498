"""The command `sirdar`: one subcommand per stage, and the few that look at or end the whole.

Imports are light here and heavy inside the functions: help must not load torch.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from mixer.job import STEPS, Step, planned
from pipelines import settings as configuration
from pipelines.errors import LeaseError, SirdarError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__.splitlines()[0])
settings_app = typer.Typer(no_args_is_help=True, help="Show the settings, or the presets to start from.")
export_app = typer.Typer(no_args_is_help=True, help="Write the dataset again in another layout, or verify one.")
mix_app = typer.Typer(no_args_is_help=True, help="The search for the mixture: run it, or look at it.")
app.add_typer(settings_app, name="settings")
app.add_typer(export_app, name="export")
app.add_typer(mix_app, name="mix")

INTERRUPTED = 130  # the exit code that typer gives to Ctrl-C
console = Console(stderr=True)  # progress and errors; results go to standard output
output = Console()

WorkspaceOption = Annotated[str, typer.Option("--workspace", "-w", help="Folder or URL that holds all stages.")]
CrawlOption = Annotated[str, typer.Option("--crawl", help="Name of the crawl; every crawl where none is given.")]
PresetOption = Annotated[str | None, typer.Option("--preset", help="demo, laptop or climb.")]
SetOption = Annotated[list[str], typer.Option("--set", help="section.key=value, on top of the preset; repeatable.")]
FileOption = Annotated[Path | None, typer.Option("--settings", help="TOML file with a preset and what differs.")]
TargetOption = Annotated[list[str], typer.Option("--target", help="name=file.jsonl of held-out documents; repeatable.")]


def main() -> None:
    """Run the command; an error is one line, with its traceback only after --debug."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app(standalone_mode=True)
    except SirdarError as error:
        if debug:
            raise
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            console.print("stopped; run the same command again to go on from here")
        raise


# ---------------------------------------------------------------------------------------------------------
# Settings and workspace


def opened(workspace: str, progress: Any = None) -> Any:
    """The corpus of an existing workspace, under the settings that lie in it."""
    from pipelines import corpus
    from pipelines.store import Workspace

    return corpus.opened(Workspace(workspace), progress)


@contextmanager
def watched(workspace: str) -> Iterator[Any]:
    from mixer.console import Bars

    with Bars(console) as bars:
        yield opened(workspace, bars)


@app.command()
def build(
    inputs: Annotated[list[str] | None, typer.Argument(help="Crawl files, folders or patterns; none: go on.")] = None,
    workspace: WorkspaceOption = "workspace",
    crawl: Annotated[str, typer.Option("--crawl", help="Name for these inputs.")] = "crawl-1",
    preset: PresetOption = None,
    settings: FileOption = None,
    change: SetOption = [],
    target: TargetOption = [],
    sample: Annotated[float, typer.Option(help="Share of the documents, the same ones in every stage.")] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
) -> None:
    """Raw crawl files in, dataset out: every stage that is missing.

    Example: sirdar build crawl/ -w ws --preset laptop --crawl 2026-11 --target maths=held-out.jsonl
    """
    from mixer.console import Bars
    from mixer.job import build as run
    from pipelines.corpus import Corpus, choose, keep
    from pipelines.crawls import register
    from pipelines.store import Workspace

    place = Workspace(workspace)
    changes = list(change) + ([f"ingest.sample={sample}"] if sample else [])
    chosen = choose(place, settings, preset=preset, changes=changes, targets=target)
    if dry_run:
        _say_plan(Corpus(place, configuration.resolved(chosen)), list(inputs or ()), crawl)
        return
    if inputs:
        register(place, crawl, inputs)
    keep(place, chosen)
    with Bars(console) as bars:
        corpus = Corpus(place, configuration.resolved(chosen), bars)
        if not corpus.crawls:
            raise SirdarError("no crawl yet; name its files: sirdar build INPUT...")
        run(corpus)
    _say_result(corpus)


def _say_plan(corpus: Any, inputs: list[str], crawl: str) -> None:
    from mixer.inspection import status
    from pipelines.crawls import listed

    if inputs:
        files = listed(inputs)
        size = sum(size for _, size in files.values())
        output.print(f"crawl {crawl}: {len(files)} files, {size / 1e6:,.1f} MB to read")
    for line in status(corpus):
        done = f"{line.parts} parts, {line.rows:,} rows to reuse" if line.state == "finished" else "would run"
        output.print(f"{line.stage:<16}{line.crawl:<20}{done}")
    trials = sum(corpus.settings.search.rounds)
    output.print(f"search          {trials} proxies of {corpus.settings.search.tokens:,} tokens, and the baselines")


def _stage_command(step: Step) -> Callable[..., None]:
    def of_crawls(workspace: WorkspaceOption = "workspace", crawl: CrawlOption = "") -> None:
        with watched(workspace) as corpus:
            for name in [crawl] if crawl else [one.name for one in corpus.crawls]:
                corpus.crawl(name)
                step.run(corpus, name)

    def of_corpus(workspace: WorkspaceOption = "workspace") -> None:
        with watched(workspace) as corpus:
            step.run(corpus)

    return of_crawls if step.scope == "crawl" else of_corpus


MEANINGS = {
    "targets": "Held-out documents with their signatures.",
    "documents": "Read crawl files: documents, rejects, every byte accounted for.",
    "edits": "Spans to cut from the text, by reason.",
    "signals": "Language and the raw value of every heuristic.",
    "verdicts": "Thresholds over the signals: why a document is dropped.",
    "signatures": "Content hash and MinHash bands.",
    "duplicates": "Exact and near duplicates, within a crawl and against all before it.",
    "embeddings": "Text to vectors.",
    "centroids": "Fine k-means centroids, fitted on kept documents.",
    "fine_clusters": "The nearest centroid of every embedded document.",
    "tokenizer": "Train or load the tokeniser.",
    "tokens": "Token ids of every kept document.",
    "clusters": "Score, prune, merge and name the clusters.",
    "pools": "Token pools per cluster, train and validation apart.",
    "evaluations": "The targets as tokens, and their own shares of the clusters.",
    "mixture": "The mixture that the search recommends, beside the baselines.",
    "comparison": "Train on the mixture and on each baseline with paired seeds; say what is shown.",
    "dataset": "Write the shards, the card and the manifest.",
}
for _step in STEPS:
    if _step.scope != "round":
        _of_mix = _step.name in ("mixture", "comparison")
        _text = f"{MEANINGS[_step.name]}\n\nExample: sirdar {'mix ' * _of_mix}{_step.command} -w workspace"
        if _of_mix:
            mix_app.command(_step.command, help=_text)(_stage_command(_step))
        app.command(_step.command, help=_text, hidden=_of_mix)(_stage_command(_step))


# ---------------------------------------------------------------------------------------------------------
# Looking


@app.command()
def status(
    workspace: WorkspaceOption = "workspace",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Per stage: read, kept, dropped by reason, errors, bytes lost.

    Example: sirdar status -w ws --json
    """
    from dataclasses import asdict

    from mixer.console import funnel
    from mixer.inspection import status as statuses

    lines = statuses(opened(workspace))
    if as_json:
        rows = [{**asdict(line), "errors": line.errors, "bytes_lost": line.bytes_lost} for line in lines]
        print(json.dumps(rows, indent=1))
        return
    for line in lines:
        state = line.state if line.state != "finished" else f"{line.rows:,} rows"
        told = f"{line.stage:<16}{line.crawl:<20}{state:>16}   {funnel(line.counts)}"
        output.print(told, highlight=False, markup=False, soft_wrap=True)


@app.command()
def trace(
    document: Annotated[str, typer.Argument(help="Id in hex (6 to 32 digits), or a whole URL.")],
    workspace: WorkspaceOption = "workspace",
) -> None:
    """Where a document is, or why it left.

    Example: sirdar trace 9f3c11aa -w ws
    """
    from mixer.inspection import trace as traced

    for stage, told in traced(opened(workspace), document):
        output.print(f"{stage:<14} {told}".rstrip(), highlight=False, markup=False, soft_wrap=True)


@app.command()
def clean(
    workspace: WorkspaceOption = "workspace",
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only say what.")] = False,
) -> None:
    """Delete stage folders that neither the current settings nor a dataset refer to.

    Of a stage whose current folder depends on one that is not finished, nothing is deleted; nor is a folder
    that a running job writes.

    Example: sirdar clean -w ws --yes
    """
    from mixer.inspection import unneeded

    corpus = opened(workspace)
    found = unneeded(corpus)
    sizes = []
    for label, size in found:
        output.print(f"{label}  {size / 1e6:,.1f} MB", highlight=False)
        steps = label.split("/")
        try:
            if yes:
                with corpus.workspace.lease(*steps):
                    corpus.workspace.delete(*steps)
        except LeaseError as error:
            output.print(f"kept: {error}", highlight=False, markup=False, soft_wrap=True)
            continue
        sizes.append(size)
    told = " deleted" if yes else "; --yes deletes them"
    output.print(f"{len(sizes)} folders, {sum(sizes) / 1e6:,.1f} MB{told}")


@settings_app.command("show")
def settings_show(
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Those that lie in a workspace.")] = "",
    preset: PresetOption = None,
    change: SetOption = [],
) -> None:
    """Every setting, its value and its meaning in one line.

    Example: sirdar settings show --preset climb
    """
    if workspace and not preset:
        chosen = opened(workspace).settings
    else:
        chosen = configuration.load(preset=preset, changes=change)
    for key, value, meaning in configuration.explained(chosen):
        output.print(f"[bold]{key}[/] = {escape(json.dumps(value))}  [dim]{escape(meaning)}[/]", soft_wrap=True)


@settings_app.command("presets")
def settings_presets() -> None:
    """The presets to start from.

    Example: sirdar settings presets
    """
    for name in configuration.presets():
        output.print(name)


# ---------------------------------------------------------------------------------------------------------
# Search and dataset


@mix_app.command("search")
def mix_search(workspace: WorkspaceOption = "workspace") -> None:
    """Run the rounds of the search, or go on at the trial where it stopped.

    Example: sirdar mix search -w ws
    """
    with watched(workspace) as corpus:
        for step, arguments in planned(corpus):
            if step.name in ("round", "predictor", "mixture"):
                step.run(corpus, *arguments)


@mix_app.command("show")
def mix_show(workspace: WorkspaceOption = "workspace") -> None:
    """The found mixture beside the baselines, and what the comparison showed.

    Example: sirdar mix show -w ws
    """
    _say_result(opened(workspace))


@export_app.command("verify")
def export_verify(folder: Annotated[Path, typer.Argument(help="A dataset's folder.")]) -> None:
    """Hold a dataset against its manifest: sizes, hashes, rows, splits, weights.

    Example: sirdar export verify ws/dataset/mix/1a2b3c4d5e6f
    """
    from mixer.verify import verify

    problems = verify(folder)
    for problem in problems:
        console.print(f"[red]problem:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    output.print(f"{folder} is as its manifest says")


@export_app.command("write")
def export_write(
    layout: Annotated[str, typer.Option("--format", help="parquet, clusters or nanochat.")],
    workspace: WorkspaceOption = "workspace",
) -> None:
    """Write the dataset in another layout, beside the others.

    Example: sirdar export write --format nanochat -w ws
    """
    from dataclasses import replace

    from mixer.stages import run_dataset

    with watched(workspace) as corpus:
        changed = configuration.validated(
            {
                **configuration.dumped(corpus.settings),
                "dataset": {**configuration.dumped(corpus.settings)["dataset"], "format": layout},
            }
        )
        run_dataset(replace(corpus, settings=changed))


# ---------------------------------------------------------------------------------------------------------
# Demo


@app.command("demo-crawl")
def demo_crawl(out: Annotated[Path, typer.Argument(help="Folder for the crawls and the targets.")]) -> None:
    """Write two small real crawls as WARC files, and two targets.

    Example: sirdar demo-crawl crawls
    """
    from pipelines.demo.crawls import write_demo_crawls

    written = write_demo_crawls(out, cache=_cache(), progress=console.print)
    output.print(f"{written}")


@app.command()
def demo(workspace: WorkspaceOption = "demo") -> None:
    """The whole job on a crawl written on the spot, through Dagster.

    Example: sirdar demo -w demo && sirdar ui -w demo
    """
    from mixer.demo import run_demo

    run_demo(Path(workspace), console)
    _say_result(opened(workspace))
    output.print(f"\nLook at it:  sirdar ui -w {workspace}   (make ui)")


@app.command()
def ui(
    workspace: WorkspaceOption = "demo",
    port: Annotated[int, typer.Option(help="On localhost.")] = 3000,
) -> None:
    """The workspace in the Dagster UI, on localhost.

    Example: sirdar ui -w demo --port 3001
    """
    home = Path(workspace).resolve() / ".dagster"
    if not home.is_dir():
        raise SirdarError(f"{workspace} was not built through Dagster; `sirdar demo` does, or `dg dev`")
    environment = {**os.environ, "DAGSTER_HOME": str(home), "SIRDAR_WORKSPACE": str(Path(workspace).resolve())}
    # Not the web server alone: what is launched from it waits for the daemon that `dagster dev` starts beside it.
    server = ["-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port), "-m", "assets.definitions"]
    console.print(f"http://127.0.0.1:{port}  (Ctrl-C ends it)")
    os.execve(sys.executable, [sys.executable, *server], environment)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sirdar"


def _say_result(corpus: Any) -> None:
    from mixer.result import say

    say(corpus, output)


if __name__ == "__main__":
    main()
