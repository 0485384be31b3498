"""Sections on cost: what was trained for what, and the plan beside what was really used."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from mixer.report.markup import flops, number, seconds, section, size, table, text

KINDS = {"search": "search", "baselines": "rules and random", "comparison": "comparison"}

Told = Mapping[str, Any]


def cost(told: Told) -> str:
    """Trainings by what they were for, and how many trials of other searches saved one."""
    parts = told["cost"]
    if not parts:
        return ""
    keys = ("num_runs", "num_taken", "num_failed", "tokens", "seconds", "flops")
    total = {key: math.fsum(part[key] for part in parts.values()) for key in keys}
    rows = [
        (css, [text(name), number(part["num_runs"]), *([number(part["num_taken"])] if total["num_taken"] else []),
               number(part["num_failed"]), number(part["tokens"]), seconds(part["seconds"]),
               flops(part["flops"]) if part["flops"] else "–"])
        for css, name, part in [*(("", name, part) for name, part in parts.items()), ("sum", "together", total)]
    ]  # fmt: skip
    taken = [("taken over", "n")] if total["num_taken"] else []
    head = [("trained for", ""), ("proxies", "n"), *taken, ("failed", "n"), ("tokens", "n"), ("process time", "n")]
    return section(
        "What it cost",
        table([*head, ("", "n")], rows),
        note="Trainings alone, without the evaluation after each. What round 1 of the search has in common with"
        " random search is paid once."
        + (" A trial that another search of the workspace had finished is taken over and costs nothing." * bool(taken)),
    )


def plan(told: Told) -> str:
    """What `sirdar mix plan` said beside what was used, for what is known of both."""
    made = told["plan"]
    if made is None:
        return ""
    planned, used = made["planned"], made["used"]
    rows = []
    for kind, name in KINDS.items():
        said, took = planned["kinds"][kind], used[kind]
        if took["taken"]:
            rows.append(("", [text(f"{name}, taken over"), "–", number(took["taken"]), "–"]))
        if took["num"]:
            rows.append(("", [text(f"{name}, trainings"), *_beside(said["num"], took["num"], number)]))
            rows.append(("", [text(f"{name}, time"), *_beside(said["seconds"], took["seconds"], seconds)]))
            rows.append(("", [text(f"{name}, work"), *_beside(said["flops"], took["flops"], flops)]))
    peak = max(one["process_bytes"] for one in used.values())
    rows.append(("", ["memory of a process", *_beside((planned["speed"] or {}).get("peak_bytes"), peak, size)]))
    if all(one["num"] + one["taken"] for one in used.values()):
        rows.append(("", ["disk, without checkpoints", *_beside(planned["disk_bytes"], made["left_bytes"], size)]))
    shown = [row for row in rows if row[1][1:] != _NOTHING]
    head = [("", ""), ("planned", "n"), ("used", "n"), ("planned / used", "n")]
    note = (
        "Times were planned by short trainings, on a machine as busy as it was then. What is not finished yet has used"
        " less; trials taken over from other searches are planned, and cost nothing; what turns out the same is trained"
        " once."
    )
    return section("Planned and used", table(head, shown), note=note) if shown else ""


_NOTHING = ["–"] * 3


def _beside(planned: float | None, used: float, told: Callable[[float], str]) -> list[str]:
    """Both in words and their ratio; dashes where one is not known."""
    return [told(planned), told(used), f"{planned / used:.2f}"] if planned and used else _NOTHING
