"""The job run stage by stage, with the time of each and the memory of this process and all its children.

    python infra/benchmarks/crawl_stages.py WORKSPACE [STAGE]        every step that is missing, up to STAGE

A script of its own, since the engine's workers import whatever their parent's main module imports.
Peaks are those of one stage: the kernel's own high-water marks are set back before it; where a kernel does not let
one be set back, that process is sampled instead. The sum over processes is sampled and counts a page once for each
process that shares it, so it is an upper bound.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixer.console import funnel
from mixer.job import planned
from pipelines.corpus import Corpus, Report, opened
from pipelines.store import Workspace

SAMPLE_SECONDS = 0.05
TREE_SECONDS = 0.5  # between looks for new children
SLACK_BYTES = 16 << 20  # what two reads of its sizes may differ by: kernels count pages per core
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Memory:
    """Peak bytes while something ran."""

    processes: dict[int, int] = field(default_factory=dict)
    together: int = 0

    @property
    def largest(self) -> int:
        return max(self.processes.values(), default=0)


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


@contextmanager
def watched() -> Iterator[Memory]:
    """Peaks of this process and its children until the block ends."""
    memory, done = Memory(), threading.Event()
    stuck = {pid for pid in tree(os.getpid()) if not _set_back(pid)}
    thread = threading.Thread(target=_sample, args=(memory, done), daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()
        for pid in tree(os.getpid()):
            last = _resident(pid) if pid in stuck else _high_water(pid)
            memory.processes[pid] = max(memory.processes.get(pid, 0), last)


def run(corpus: Corpus, until: str = "") -> None:
    """Every step of the job before `until`; what each cost goes to measured.jsonl in the workspace."""
    place = corpus.workspace.local("measured.jsonl")
    for step, arguments in planned(corpus):
        if step.name == until:
            return
        with watched() as memory:
            report = step.run(corpus, *arguments)
        if report.reused < report.parts:
            with place.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_line(report, memory)) + "\n")
            print(f"  {report.stage:14} {report.crawl:8} {report.seconds:7.1f} s  {funnel(report.counts)}", flush=True)


def measured(corpus: Corpus) -> list[dict[str, Any]]:
    """What each stage cost when it was last done in this workspace, in the order of the job."""
    lines = corpus.workspace.local("measured.jsonl").read_text(encoding="utf-8").splitlines()
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for line in map(json.loads, lines):
        latest[line["stage"], line["crawl"]] = line
    return list(latest.values())


def _line(report: Report, memory: Memory) -> dict[str, Any]:
    return {
        "stage": report.stage,
        "crawl": report.crawl,
        "seconds": round(report.seconds, 2),
        "parts": report.parts,
        "rows": report.rows,
        "peak_mb_reported": report.peak_bytes >> 20,
        "peak_mb_of_driver": memory.processes[os.getpid()] >> 20,
        "peak_mb_of_largest_process": memory.largest >> 20,
        "peak_mb_of_all_processes": memory.together >> 20,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _sample(memory: Memory, done: threading.Event) -> None:
    pids, looked = tree(os.getpid()), time.monotonic()
    while not done.wait(SAMPLE_SECONDS):
        if time.monotonic() - looked > TREE_SECONDS:
            pids, looked = tree(os.getpid()), time.monotonic()
        sizes = {pid: _resident(pid) for pid in pids}
        memory.together = max(memory.together, sum(sizes.values()))
        for pid, size in sizes.items():
            memory.processes[pid] = max(memory.processes.get(pid, 0), size)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _high_water(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _set_back(pid: int) -> bool:
    """Whether the process's high-water mark now is what it holds."""
    with suppress(OSError):  # a child that has ended, a container that forbids it, or a kernel without it
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _high_water(pid) <= _resident(pid) + SLACK_BYTES


if __name__ == "__main__":
    run(opened(Workspace(sys.argv[1])), *sys.argv[2:])
