"""Subcommands that look into a workspace, show its settings, or delete what nothing needs."""

import json
from typing import Annotated

import typer
from rich.markup import escape

from mixer.command.options import PresetOption, SetOption, WorkspaceOption, opened, output
from pipelines import configuration
from pipelines.errors import LeaseError

app = typer.Typer()
settings_app = typer.Typer(no_args_is_help=True, help="Show the settings, or the presets to start from.")


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
    """Delete stage folders that neither the current settings, nor a comparison under them, nor a dataset refers to.

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
