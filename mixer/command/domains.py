"""`sirdar mix domains`: a mixture of domains that somebody has sorted already, without the corpus half's judging."""

from typing import Annotated, Any

import typer

from mixer.command.options import FileOption, PresetOption, SetOption, TargetOption, WorkspaceOption, console, output


def mix_domains(
    inputs: Annotated[list[str], typer.Argument(help="Folder with a JSONL or Parquet file, or a folder, per domain.")],
    workspace: WorkspaceOption = "workspace",
    target: TargetOption = [],
    preset: PresetOption = None,
    settings: FileOption = None,
    change: SetOption = [],
    crawl: Annotated[str, typer.Option("--crawl", help="Name for these inputs.")] = "domains",
) -> None:
    """Files that are sorted by domain as the clusters of a search: tokens and pools, no vector, no rule, no edit.

    Near-copies leave, of the target's documents too. Then: sirdar mix search, sirdar mix comparison, sirdar dataset.

    Example: sirdar mix domains domains/ -w ws --target maths=held-out.jsonl
    """
    from mixer.console import Bars
    from mixer.job import planned
    from mixer.lineage import asked
    from pipelines import configuration
    from pipelines.corpus import Corpus, choose, keep
    from pipelines.crawls import register
    from pipelines.domains import SETTINGS, added, several
    from pipelines.store import Workspace

    place = Workspace(workspace)
    chosen = configuration.laid_over(SETTINGS, choose(place, settings, preset=preset, changes=change, targets=target))
    asked(configuration.resolved(chosen))  # refuses to begin without a target
    several(added(place, crawl, inputs), ", ".join(inputs))
    register(place, crawl, inputs)
    keep(place, chosen)
    with Bars(console) as bars:
        corpus = Corpus(place, configuration.resolved(chosen), bars)
        for step, arguments in planned(corpus):
            if step.module.startswith("pipelines."):
                step.run(corpus, *arguments)
    _say(corpus)


def _say(corpus: Any) -> None:
    """A line a domain: documents and tokens, its share of them, and of the documents that the search serves."""
    from rich.markup import escape
    from rich.table import Table

    from mixer.objectives import nearest, served, told
    from pipelines.clusters import read_clusters

    rows = read_clusters(corpus).select(["name", "documents", "tokens"]).to_pylist()
    near = nearest(corpus)
    tokens = sum(row["tokens"] for row in rows)
    table = Table(
        box=None, pad_edge=False, caption=f"nearest to {escape(told(served(corpus)))}", caption_justify="left"
    )
    for title in ("domain", "documents", "tokens", "natural", "nearest"):
        table.add_column(title, justify="left" if title == "domain" else "right", no_wrap=True)
    for row, count in zip(rows, near.tolist(), strict=True):
        shares = [f"{100 * share:.1f} %" for share in (row["tokens"] / tokens, count / max(1.0, near.sum()))]
        table.add_row(escape(row["name"]), f"{row['documents']:,}", f"{row['tokens']:,}", *shares)
    output.print(table)
