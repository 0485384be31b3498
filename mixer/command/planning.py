"""`sirdar mix plan`, `resume` and `compare`: before a search, in its middle, and several beside each other."""

import json
import time
from typing import Annotated

import typer

from mixer.command.mix import app, run_search, say_leaders, say_lines
from mixer.command.options import WorkspaceOption, opened, output, watched


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
    from mixer.proxies.probe import probed

    corpus = opened(workspace)
    place = (*mixing.search(corpus).steps, plan.NAME)
    if no_probe:
        known = corpus.workspace.read_json(*place)["speed"] if corpus.workspace.exists(*place) else None
        told = plan.planned(corpus, known and plan.Speed(**known))
    else:
        told = plan.planned(corpus, probed(corpus))
        corpus.workspace.write_json(told, *place)
    used, left = plan.used(corpus), plan.left(corpus)
    if as_json:
        print(json.dumps({**told, "used": used, "left_bytes": left}, indent=1))
        return
    output.print(plan_table(told, used, plan.KINDS))
    speed, took = told["speed"], max(one["process_bytes"] for one in used.values())
    if speed is not None:
        memory = f"{speed['peak_bytes'] / 1e9:.2f} GB" if speed["peak_bytes"] else "memory not known"
        memory += f", {took / 1e9:.2f} GB used," if took else ""
        each = speed["fixed_seconds"] + speed["token_seconds"] * told["kinds"]["search"]["tokens_each"]
        output.print(f"{speed['workers']} at once, {each:.1f} s each; {memory} in a process", highlight=False)
    disk = f"disk: {told['disk_bytes'] / 1e6:.2f} MB, {left / 1e6:.2f} MB used"
    beside = told["checkpoint_bytes"]
    output.print(f"{disk}{f'; {beside / 1e6:.1f} MB of checkpoints beside it' if beside else ''}", highlight=False)


@app.command("resume")
def mix_resume(
    name: Annotated[str, typer.Argument(help="A search's name; none: the only unfinished one.")] = "",
    workspace: WorkspaceOption = "workspace",
) -> None:
    """List the workspace's searches, and go on with one at the trial where it stopped.

    Example: sirdar mix resume -w ws
    """
    from mixer.resuming import chosen, continued, searches

    with watched(workspace, notes=True) as corpus:
        found = searches(corpus)
        for one in found:
            last = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.last)) if one.last else "never"
            line = f"{one.name:<20}{one.digest:<14}{one.state:<22}last trial {last}"
            output.print(line, highlight=False, soft_wrap=True)
        again = continued(corpus, chosen(found, name))
        run_search(again)
    say_leaders(again)


@app.command("compare")
def mix_compare(
    workspace: WorkspaceOption = "workspace",
    strategies: Annotated[
        str, typer.Option(help="As search.strategy, with commas between.")
    ] = "auto,climb,regmix,olmix",
    seeds: Annotated[int, typer.Option(min=2, help="Paired seeds of the final comparison.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Search with several strategies under one budget, and compare what they found with each other and with the rules.

    Example: sirdar mix compare -w ws --strategies auto,climb,regmix,olmix
    """
    from mixer import takeover
    from mixer.console import contest_table
    from mixer.contest import contest

    with watched(workspace, notes=True) as corpus:
        say_lines(takeover.told(corpus))
        told = contest(corpus, [name.strip() for name in strategies.split(",") if name.strip()], seeds)
    if as_json:
        print(json.dumps(told, indent=1))
        return
    output.print(contest_table(told))
    for verdict in told["verdicts"]:
        output.print(f"  {verdict['text']}", highlight=False, markup=False, soft_wrap=True)
