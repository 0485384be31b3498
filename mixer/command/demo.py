"""The demo, and the workspace in the Dagster UI."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mixer.command.options import WorkspaceOption, console, opened, output, say_result
from pipelines.errors import SirdarError

app = typer.Typer()


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
    say_result(opened(workspace))
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
