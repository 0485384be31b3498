"""`sirdar demo`: the whole job on a crawl that is written on the spot, through Dagster."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from pipelines.corpus import choose, keep
from pipelines.crawls import register
from pipelines.demo.crawls import write_demo_crawls
from pipelines.store import Workspace


def run_demo(folder: Path, console: Console) -> None:
    """Write the demo's crawls, register both, and materialise the graph in a process of its own.

    The process is Dagster's side of the program, which the command must not import (assets sit above mixer).
    """
    told = "writing two small crawls: Wikipedia leads in three languages, Python documentation"
    console.print(told, soft_wrap=True)
    written = write_demo_crawls(folder / "crawls", cache=folder / "cache")
    workspace = Workspace(str(folder.resolve()))
    targets = [f"{path.stem}={path}" for path in (written.narrow, written.broad)]
    keep(workspace, choose(workspace, None, preset="demo", changes=(), targets=targets))
    for crawl in written.crawls:
        register(workspace, crawl.name, [str(crawl)])
    # SIRDAR_WORKSPACE is read when the definitions load: it names the settings that say how many rounds there are.
    environment = {**os.environ, "SIRDAR_WORKSPACE": workspace.root}
    ended = subprocess.run([sys.executable, "-m", "assets.run", workspace.root], env=environment, check=False)
    if ended.returncode:
        sys.exit(ended.returncode)
