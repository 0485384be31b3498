"""`sirdar mix`: the search for the mixture."""

import typer

from mixer.command.options import WorkspaceOption, opened, say_result, watched
from mixer.job import planned

app = typer.Typer(no_args_is_help=True, help="The search for the mixture: run it, or look at it.")


@app.command("search")
def mix_search(workspace: WorkspaceOption = "workspace") -> None:
    """Run the rounds of the search, or go on at the trial where it stopped.

    Example: sirdar mix search -w ws
    """
    with watched(workspace) as corpus:
        for step, arguments in planned(corpus):
            if step.name in ("round", "predictor", "mixture"):
                step.run(corpus, *arguments)


@app.command("show")
def mix_show(workspace: WorkspaceOption = "workspace") -> None:
    """The found mixture beside the baselines, and what the comparison showed.

    Example: sirdar mix show -w ws
    """
    say_result(opened(workspace))
