"""The whole job as one subcommand, and one for each of its stages."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from mixer.command import mix
from mixer.command.options import (
    CrawlOption,
    FileOption,
    PresetOption,
    SetOption,
    TargetOption,
    WorkspaceOption,
    console,
    output,
    say_result,
    watched,
)
from mixer.job import STEPS, Step
from pipelines import configuration
from pipelines.errors import SettingsError, SirdarError
from pipelines.optional import ASKED_BY, by_topic, wanted

app = typer.Typer()


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
    from pipelines.domains import added
    from pipelines.store import Workspace

    place = Workspace(workspace)
    changes = list(change) + ([f"ingest.sample={sample}"] if sample else [])
    chosen = choose(place, settings, preset=preset, changes=changes, targets=target)
    if dry_run:
        _say_plan(Corpus(place, configuration.resolved(chosen)), list(inputs or ()), crawl)
        return
    if inputs:
        if not by_topic(configuration.resolved(chosen)):
            added(place, crawl, inputs)  # refuses what cannot be before anything is kept
        register(place, crawl, inputs)
    keep(place, chosen)
    with Bars(console) as bars:
        corpus = Corpus(place, configuration.resolved(chosen), bars)
        if not corpus.crawls:
            raise SirdarError("no crawl yet; name its files: sirdar build INPUT...")
        run(corpus)
    say_result(corpus)


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
    trials = sum(corpus.settings.search.trainings)
    cheap = ", or cheaper ones for as much," if corpus.settings.search.fidelities else ","
    output.print(
        f"search          {trials} proxies of {corpus.settings.search.tokens:,} tokens{cheap} and the baselines"
    )


def _stage_command(step: Step) -> Callable[..., None]:
    def of_crawls(workspace: WorkspaceOption = "workspace", crawl: CrawlOption = "") -> None:
        with watched(workspace) as corpus:
            _must_be_wanted(corpus, step)
            for name in [crawl] if crawl else [one.name for one in corpus.crawls]:
                corpus.crawl(name)
                step.run(corpus, name)

    def of_corpus(workspace: WorkspaceOption = "workspace") -> None:
        with watched(workspace) as corpus:
            _must_be_wanted(corpus, step)
            step.run(corpus)

    return of_crawls if step.scope == "crawl" else of_corpus


def _must_be_wanted(corpus: Any, step: Step) -> None:
    if not wanted(corpus.settings, step.name):
        raise SettingsError(f"the settings ask for no {step.name}: {ASKED_BY[step.name]}")


MEANINGS = {
    "targets": "Held-out documents with their signatures.",
    "documents": "Read crawl files: documents, rejects, every byte accounted for.",
    "edits": "Spans to cut from the text, by reason.",
    "signals": "Language and the raw value of every heuristic.",
    "dialects": "Signals as other pipelines count them, where the preset reads them.",
    "scores": "Values of the classifiers that the settings name.",
    "contamination": "Word n-grams shared with the tests that the settings name.",
    "verdicts": "Thresholds over the signals: why a document is dropped.",
    "signatures": "Content hash and MinHash bands.",
    "duplicates": "Exact and near duplicates, within a crawl and against all before it.",
    "embeddings": "Text to vectors.",
    "repeats": "Lines, paragraphs or longer stretches that an earlier document holds too.",
    "semantic": "Documents whose vectors nearly agree, within fine clusters.",
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
            mix.app.command(_step.command, help=_text)(_stage_command(_step))
        app.command(_step.command, help=_text, hidden=_of_mix)(_stage_command(_step))
