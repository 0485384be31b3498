"""`sirdar mix`: the search for the mixture, and mixtures from tables of runs that others trained."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixer.command.options import WorkspaceOption, console, opened, output, say_result, watched
from mixer.job import planned
from pipelines.errors import InputError

if TYPE_CHECKING:
    from mixer.table_fit import Fit

LEADERS = 10

app = typer.Typer(no_args_is_help=True, help="The search for the mixture: run it, look at it, or fit finished runs.")


@app.command("search")
def mix_search(workspace: WorkspaceOption = "workspace") -> None:
    """Run the rounds of the search, or go on at the trial where it stopped.

    Example: sirdar mix search -w ws
    """
    with watched(workspace, notes=True) as corpus:
        run_search(corpus)
    say_leaders(corpus)


def run_search(corpus: Any) -> None:
    """What is missing of the rounds and of the mixture; what could be taken from other searches is said."""
    from mixer import takeover

    say_lines(takeover.told(corpus))
    for step, arguments in planned(corpus):
        if step.name in ("round", "predictor", "mixture"):
            step.run(corpus, *arguments)
    say_lines(takeover.taken(corpus))


def say_leaders(corpus: Any) -> None:
    """The ten proxies of a finished search with the lowest losses."""
    from mixer.console import leaders_table
    from mixer.stages import leaders
    from pipelines.clusters import read_clusters

    names = read_clusters(corpus)["name"].to_pylist()
    output.print(leaders_table(leaders(corpus, LEADERS), names))


def say_lines(lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command("show")
def mix_show(workspace: WorkspaceOption = "workspace") -> None:
    """The found mixture beside the baselines, and what the comparison showed.

    Example: sirdar mix show -w ws
    """
    say_result(opened(workspace))


@app.command("report")
def mix_report(
    workspace: WorkspaceOption = "workspace",
    out: Annotated[Path, typer.Option("--out", help="The HTML file.")] = Path("report.html"),
) -> None:
    """One HTML file on the search: what is shown, the mixture, the evidence, the clusters; also of an unfinished one.

    Example: sirdar mix report -w ws --out report.html
    """
    from mixer.journal import write_whole
    from mixer.report.gathered import gathered
    from mixer.report.headline import headline
    from mixer.report.page import html

    told = gathered(opened(workspace))
    try:
        write_whole(out, html(told).encode())
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None
    output.print(headline(told), highlight=False, markup=False, soft_wrap=True)
    output.print(str(out), highlight=False, markup=False, soft_wrap=True)


@app.command("fit")
def mix_fit(
    ratios: Annotated[Path, typer.Argument(help="CSV: run (or index), then a column of weights for each bucket.")],
    metrics: Annotated[Path, typer.Argument(help="CSV: run (or index), then a column for each metric.")],
    objective: Annotated[list[str], typer.Option(help="Metric to minimise, the mean of several; none: of all.")] = [],
    strategy: Annotated[str, typer.Option(help="As search.strategy.")] = "auto",
    predictor: Annotated[str, typer.Option(help="As search.predictor; empty: the strategy's own.")] = "",
    natural: Annotated[Path | None, typer.Option(help="CSV: bucket, amount of it. None: the runs' mean.")] = None,
    higher_is_better: Annotated[bool, typer.Option("--higher-is-better", help="Scores, not losses.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """The mixture that finished runs lead to, and what their predictor is worth.

    Example: sirdar mix fit ratios.csv metrics.csv --objective pile_cc
    """
    from mixer.table_fit import fit_tables
    from mixer.tables import read_amounts, read_tables

    found = fit_tables(
        read_tables(ratios, metrics),
        strategy=strategy,
        predictor=predictor,
        natural=read_amounts(natural) if natural else None,
        objective=objective,
        higher_is_better=higher_is_better,
    )
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        for line in _told(found):
            output.print(line, highlight=False, markup=False, soft_wrap=True)
    if not found.reliable:
        console.print(f"[yellow]warning:[/] {found.remark}", highlight=False, soft_wrap=True)


def _told(found: "Fit") -> list[str]:
    """The fit in lines: mixture, largest weights first, then the numbers that stand behind it."""
    ranked = sorted(zip(found.weights.tolist(), found.buckets, strict=True), key=lambda one: (-one[0], one[1]))
    width = max(len(name) for name in found.buckets)
    several = f"mean of {len(found.objective)} metrics" if len(found.objective) > 1 else found.objective[0]
    lines = [f"{name:<{width}}  {100 * weight:6.2f} %" for weight, name in ranked] + [""]
    lines.append(f"{found.num_runs} runs, {several}: best measured {found.best_measured:.4f}")
    if found.validation is not None:
        rules = ", ".join(f"{name} {value:.4f}" for name, value in found.others.items())
        lines.append(f"predicted {found.predicted:.4f} +- {found.spread:.4f} ({found.strategy}; {found.predictor})")
        lines.append(f"predicted of rules: {rules}")
    left = {"without a partner in the other file": found.num_unpaired, "without a number": found.num_without_value}
    lines += [f"left out: {count} rows {why}" for why, count in left.items() if count]
    return [*lines, found.remark] if found.reliable else lines


@app.command("export-tables")
def mix_export_tables(
    out: Annotated[Path, typer.Option("--out", help="Folder for ratios.csv and metrics.csv.")],
    workspace: WorkspaceOption = "workspace",
) -> None:
    """Write the runs of a finished search as ratios.csv and metrics.csv, which `sirdar mix fit` reads.

    Example: sirdar mix export-tables -w ws --out tables
    """
    from mixer.journal import write_whole
    from mixer.stages import search_table
    from mixer.tables import written

    runs = search_table(opened(workspace))
    try:
        for name, data in zip(("ratios.csv", "metrics.csv"), written(runs), strict=True):
            write_whole(out / name, data)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None
    output.print(f"{len(runs.keys)} runs, {len(runs.buckets)} buckets, {len(runs.metrics)} metrics: {out}")
