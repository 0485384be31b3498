"""`sirdar export`: the dataset in another layout, or held against its manifest."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mixer.command.options import WorkspaceOption, console, output, watched
from pipelines import configuration

app = typer.Typer(no_args_is_help=True, help="Write the dataset again in another layout, or verify one.")


@app.command("verify")
def export_verify(folder: Annotated[Path, typer.Argument(help="A dataset's folder.")]) -> None:
    """Hold a dataset against its manifest: sizes, hashes, rows, splits, weights.

    Example: sirdar export verify ws/dataset/mix/1a2b3c4d5e6f
    """
    from mixer.export.verify import verify

    problems = verify(folder)
    for problem in problems:
        console.print(f"[red]problem:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    output.print(f"{folder} is as its manifest says")


@app.command("write")
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
