"""What the subcommands share: options, where they print, and a workspace opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

console = Console(stderr=True)  # progress and errors; results go to standard output
output = Console()

WorkspaceOption = Annotated[str, typer.Option("--workspace", "-w", help="Folder or URL that holds all stages.")]
CrawlOption = Annotated[str, typer.Option("--crawl", help="Name of the crawl; every crawl where none is given.")]
PresetOption = Annotated[str | None, typer.Option("--preset", help="demo, laptop or climb.")]
SetOption = Annotated[list[str], typer.Option("--set", help="section.key=value, on top of the preset; repeatable.")]
FileOption = Annotated[
    Path | None, typer.Option("--settings", help="TOML file: a preset and what differs. Replaces the workspace's own.")
]
TargetOption = Annotated[list[str], typer.Option("--target", help="name=file.jsonl of held-out documents; repeatable.")]


def opened(workspace: str, progress: Any = None) -> Any:
    """The corpus of an existing workspace, under the settings that lie in it."""
    from pipelines import corpus
    from pipelines.store import Workspace

    return corpus.opened(Workspace(workspace), progress)


@contextmanager
def watched(workspace: str, *, notes: bool = False) -> Iterator[Any]:
    from mixer.console import Bars

    with Bars(console, notes=notes) as bars:
        yield opened(workspace, bars)


def say_result(corpus: Any) -> None:
    from mixer.result import say

    say(corpus, output)
