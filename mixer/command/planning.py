"""`sirdar mix plan`: what a search will take, before it starts."""

import json
from typing import Annotated

import typer

from mixer.command.mix import app
from mixer.command.options import WorkspaceOption, opened, output


@app.command("plan")
def mix_plan(
    workspace: WorkspaceOption = "workspace",
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Train nothing: counts and FLOPs, and the times of an earlier probe.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """What the search will take: trainings, FLOPs, time, memory, disk; and what it has taken so far.

    Time and memory are measured by a few short trainings on this machine, ten seconds or so.

    Example: sirdar mix plan -w ws
    """
    from mixer import lineage as mixing
    from mixer import plan
    from mixer.console import plan_table
    from mixer.probe import probed

    corpus = opened(workspace)
    place = (*mixing.search(corpus).steps, plan.NAME)
    if no_probe:
        known = corpus.workspace.read_json(*place)["speed"] if corpus.workspace.exists(*place) else None
        told = plan.planned(corpus, known and plan.Speed(**known))
    else:
        told = plan.planned(corpus, probed(corpus))
        corpus.workspace.write_json(told, *place)
    used = plan.used(corpus)
    if as_json:
        print(json.dumps({**told, "used": used}, indent=1))
        return
    output.print(plan_table(told, used, plan.KINDS))
    speed = told["speed"]
    if speed is not None:
        memory = f"{speed['peak_bytes'] / 1e9:.2f} GB at most" if speed["peak_bytes"] else "memory not known"
        each = speed["fixed_seconds"] + speed["token_seconds"] * told["kinds"]["search"]["tokens_each"]
        output.print(f"{speed['workers']} at once, {each:.1f} s each; {memory} in a process", highlight=False)
    output.print(f"disk: {told['disk_bytes'] / 1e6:.1f} MB, checkpoints included", highlight=False)
