"""What a person sees in the terminal: one bar for the running stage, one line for each finished one."""

import math
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from mixer.report.markup import flops, seconds
from pipelines.corpus import Report

TOP_REASONS = 3


class Bars:
    """Progress of stages as rich bars with counts and rates; plain lines where there is no terminal.

    With `notes` every trial of a search has a line of its own; else only the bar tells of the last one.
    """

    def __init__(self, console: Console, *, notes: bool = False) -> None:
        self.console, self.notes = console, notes
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._started = 0.0
        self._rows = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def begin(self, stage: str, crawl: str, *, total: int, done: int) -> None:
        self._started, self._rows = time.monotonic(), 0
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(named(stage, crawl), total=total, completed=done, rate="")

    def advance(self, count: int, rows: int) -> None:
        self._rows += rows
        rate = self._rows / max(time.monotonic() - self._started, 1e-9)
        if self._task is not None:
            self._progress.update(self._task, advance=count, rate=f"{rate:,.0f} rows/s" if self._rows else "")

    def note(self, text: str) -> None:
        if self.notes:
            self.console.print(f"  {text}", highlight=False, markup=False, soft_wrap=True)
        elif self._task is not None:
            self._progress.update(self._task, rate=escape(text))

    def end(self, report: Report) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self.console.print(line(report), highlight=False, soft_wrap=True)


def named(stage: str, crawl: str) -> str:
    return f"{stage.replace('_', ' ')} {crawl}".strip()


def line(report: Report) -> str:
    """`documents crawl-1     14,203 rows   6.1 s   2,311/s  kept 14,203 of 15,020: ...`"""
    head = f"[bold]{escape(f'{named(report.stage, report.crawl):<26}')}[/]"
    told = escape(funnel(report.counts))  # names of clusters may be among the counts, and hold anything
    if report.parts and report.reused == report.parts:
        return f"{head} {'there already':>15}   {told}"
    rate = f"{report.rows / report.seconds:,.0f}/s" if report.rows and report.seconds > 0 else ""
    rows = f"{report.rows:,} rows" if report.rows else ""
    return f"{head} {rows:>15} {report.seconds:>7.1f} s {rate:>10}   {told}"


def funnel(counts: Mapping[str, Any]) -> str:
    """`kept 9 of 12: gopher_short_doc 2, language 1`, or the counts as they are."""
    if "kept" not in counts or "read" not in counts:
        plain = {name: value for name, value in counts.items() if not isinstance(value, Mapping)}
        return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in plain.items())
    dropped = {**counts.get("dropped", {}), **counts.get("errors", {})}
    most = sorted(((reason, count) for reason, count in dropped.items() if count), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{reason} {count:,}" for reason, count in most[:TOP_REASONS])
    more = f", {len(most) - TOP_REASONS} more reasons" if len(most) > TOP_REASONS else ""
    lost = f"; {counts['bytes_lost']:,} bytes lost" if counts.get("bytes_lost") else ""
    return f"kept {counts['kept']:,} of {counts['read']:,}" + (f": {shown}{more}" if shown else "") + lost


def _short(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def mixture_table(names: list[str], mixtures: Mapping[str, list[float]], epochs: list[float]) -> Table:
    """Clusters down, mixtures across, as percent; epochs that the dataset repeats each cluster."""
    table = Table(title="Mixture", title_justify="left", box=None, header_style="bold")
    table.add_column("cluster")
    for name in mixtures:
        table.add_column(name, justify="right")
    table.add_column("epochs", justify="right")
    for index, name in enumerate(names):
        shares = [f"{100 * weights[index]:.1f} %" for weights in mixtures.values()]
        table.add_row(name, *shares, f"{epochs[index]:.2f}" if epochs else "")
    return table


def plan_table(plan: Mapping[str, Any], used: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, str]) -> Table:
    """Trainings by kind, planned, and what was used of them where something was."""
    told = any(one["num"] + one["taken"] for one in used.values())
    table = Table(box=None, header_style="bold")
    table.add_column("")
    columns = ("trainings", "tokens each", "FLOPs", "time", *(("done", "took", "plan / took") if told else ()))
    for name in columns:
        table.add_column(name, justify="right")
    for kind, one in plan["kinds"].items():
        row = [f"{one['num']:,}", f"{one['tokens_each']:,}", _operations(one["flops"]), _duration(one["seconds"])]
        if told:
            done, taken, took = (used[kind][name] for name in ("num", "taken", "seconds"))
            whole = one["seconds"] is not None and took and done
            row += [
                f"{done:,} and {taken:,} taken over" if taken else f"{done:,}",
                _duration(took),
                f"{one['seconds'] / took:.2f}" if whole else "",
            ]
        table.add_row(kinds[kind], *row)
    every = plan["together"]
    sums = (f"{every['num']:,}", "", _operations(every["flops"]), _duration(every["seconds"]))
    table.add_row("together", *sums, style="bold")
    return table


def _duration(value: float | None) -> str:
    return seconds(value) if value else ""


def _operations(value: float) -> str:
    return flops(value).removesuffix(" FLOPs") if value else "not known"


def contest_table(told: Mapping[str, Any]) -> Table:
    """Strategies and rules by their final loss, with what each search costs alone."""
    title = f"Final-split loss, {len(told['seeds'])} paired seeds"
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    table.add_column("")
    columns = ("mean", "spread", "trials", "tokens", f"better than {told['best_rule']} by", "interval", "")
    for name in columns:
        table.add_column(name, justify="right" if name else "left")
    verdicts = {one["name"]: one for one in told["verdicts"]}
    found = told["mixtures"]
    for name in sorted(found, key=lambda name: (found[name]["mean"] is None, found[name]["mean"])):
        cost, verdict = told["cost"].get(name), verdicts.get(name)
        row = [_loss(found[name]["mean"]), _loss(found[name]["spread"])]
        row += [f"{cost['num_runs']:,}", f"{cost['tokens']:,}"] if cost else ["0", "0"]
        if verdict is not None:
            low, high = verdict["interval"]
            row += [_loss(verdict["difference"], "+"), f"{_loss(low, '+')} to {_loss(high, '+')}", verdict["outcome"]]
        table.add_row(escape(name), *row)
    return table


def _loss(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.4f}"


def leaders_table(trials: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    """Trials as given, best first, each with its largest clusters."""
    seeds = max((len(trial.get("by_seed", ())) for trial in trials), default=0)
    each = f"means of {seeds} seeds" if seeds > 1 else "one seed each"
    table = Table(title=f"Leaderboard, {each}", title_justify="left", box=None, header_style="bold")
    for name, side in (("", "right"), ("from", "left"), ("loss", "right"), ("largest clusters", "left")):
        table.add_column(name, justify="right" if side == "right" else "left")
    for rank, trial in enumerate(trials, 1):
        largest = sorted(zip(trial["weights"], names, strict=True), reverse=True)[:3]
        mixture = ", ".join(f"{escape(name)} {100 * weight:.0f} %" for weight, name in largest if weight > 0)
        place = f", round {trial['round']}" if trial["round"] else ""
        table.add_row(f"{rank}", f"{trial['name']}{place}", f"{trial['loss']:.4f}", mixture)
    return table


def losses_table(rows: Mapping[str, tuple[float, float]]) -> Table:
    """Mean and spread of the final-split loss of each mixture, best first."""
    table = Table(box=None, header_style="bold")
    table.add_column("mixture")
    table.add_column("mean", justify="right")
    table.add_column("spread", justify="right")
    for name, (mean, spread) in sorted(rows.items(), key=lambda item: (math.isnan(item[1][0]), item[1][0])):
        table.add_row(name, *("-" if math.isnan(value) else f"{value:.4f}" for value in (mean, spread)))
    return table
