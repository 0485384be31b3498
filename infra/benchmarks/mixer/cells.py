"""Rows of the mixture benchmark, and the cells they are made of: one seed's figure each, kept so that a run resumes.

A cell's key holds a digest of the code that made it: its own function, the modules that it names, and of every module
of this project the definitions that those use, directly or not; comments and docstrings do not count. Changed code
makes new cells, and old ones are never read again.
"""

import ast
import hashlib
import inspect
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
# The first two import every method, and a cell depends on one, which simulation.code_of names; the third only writes.
NOT_FOLLOWED = {"mixer.strategies.choice", "mixer.predictors.choice", "mixer.journal", "cells"}


@dataclass(frozen=True)
class Row:
    """One figure: the mean over seeds, and their standard deviation (None: there is one)."""

    name: str
    value: float | None
    unit: str
    n: int  # runs or evaluations that it was made from
    seeds: int
    spread: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, values: Sequence[float], unit: str, n: int, **notes: Any) -> "Row":
        spread = statistics.stdev(values) if len(values) > 1 else None
        return cls(name, statistics.fmean(values), unit, n, len(values), spread, notes)


class Bench:
    """Where the tables are, how many seeds are asked for, in how many processes, and the cells known."""

    def __init__(self, data: Path, work: Path, seeds: int, processes: int = 1) -> None:
        self.data, self.work, self.seeds, self.processes = data, work, seeds, processes
        self.num_known = self.num_made = 0
        self._path = work / "mixer-cells.jsonl"
        self._known: dict[str, Any] = {}
        if self._path.exists():
            whole, _, torn = self._path.read_text(encoding="utf-8").rpartition("\n")
            cells = [json.loads(line) for line in whole.splitlines()]
            self._known = {cell["key"]: cell["value"] for cell in cells}
            if torn:
                self._path.write_text(whole + "\n" if whole else "", encoding="utf-8")

    def over_seeds(
        self, key: str, work: Callable[[int], Any], code: Sequence[str] = (), most: int | None = None
    ) -> list[Any]:
        """A cell for each seed, from 0, at most `most`; `code`: the modules it depends on, or digests of such."""
        digest = _digest([inspect.getsource(work), *(code_of_module(name) for name in code)])
        seeds = range(min(self.seeds, most or self.seeds))
        keys = [f"{key}/seed-{seed}@{digest}" for seed in seeds]
        missing = [seed for seed in seeds if keys[seed] not in self._known]
        self.num_known += len(seeds) - len(missing)
        if missing:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                for seed, value in self._made(work, missing):
                    file.write(json.dumps({"key": keys[seed], "value": value}) + "\n")
                    file.flush()
                    self._known[keys[seed]] = value
                    self.num_made += 1
        return [self._known[key] for key in keys]

    def _made(self, work: Callable[[int], Any], seeds: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Each seed and what it gives, in the order of finishing; an error of a seed is raised here."""
        num = min(self.processes, len(seeds))
        if num < 2:
            yield from ((seed, work(seed)) for seed in seeds)
            return
        context = get_context("fork")  # closures over tables: nothing is sent but seeds' values
        ends = {}
        for part in range(num):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_serve, args=(theirs, work, seeds[part::num]))
            process.start()
            theirs.close()
            ends[ours] = process
        try:
            while ends:
                for ready in connection.wait(list(ends)):
                    assert isinstance(ready, Connection)
                    try:
                        told = ready.recv()
                    except EOFError:
                        process = ends.pop(ready)
                        process.join()
                        if process.exitcode:
                            raise RuntimeError(f"a process of the benchmark ended with {process.exitcode}") from None
                        continue
                    yield told
        finally:
            for process in ends.values():
                process.kill()


def _serve(end: Connection, work: Callable[[int], Any], seeds: Sequence[int]) -> None:
    for seed in seeds:
        end.send((seed, work(seed)))


@cache
def code_of_module(name: str) -> str:
    """A digest of a module and of all that it uses of this project; what is no module stands for itself."""
    if not _definitions(name):
        return name
    found: dict[tuple[str, str], str] = {}
    waiting = [(name, one) for one in _definitions(name)]
    while waiting:
        module, one = place = waiting.pop()
        node = _definitions(module).get(one)
        if node is None or place in found or module in NOT_FOLLOWED:
            continue
        if isinstance(node, ast.ImportFrom):
            found[place] = ""
            waiting += [
                found_at for alias in node.names if (alias.asname or alias.name) == one for found_at in _at(node, alias)
            ]
            continue
        found[place] = _plain(node)
        waiting += [(module, used.id) for used in ast.walk(node) if isinstance(used, ast.Name)]
        inner = [one for one in ast.walk(node) if isinstance(one, ast.ImportFrom)]
        waiting += [found_at for one in inner for alias in one.names for found_at in _at(one, alias)]
    return _digest([text for _, text in sorted(found.items())])


@cache
def _definitions(module: str) -> Mapping[str, ast.stmt]:
    """What a module of this project defines or imports, by name; nothing of other modules."""
    path = _source(module)
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: node for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found |= {used.id: node for used in ast.walk(node) if isinstance(used, ast.Name) and _stored(used)}
    return found


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _at(node: ast.ImportFrom, alias: ast.alias) -> list[tuple[str, str]]:
    """Where what is imported is defined; all of it where it is a module."""
    whole = f"{node.module}.{alias.name}"
    return [(whole, one) for one in _definitions(whole)] or [(str(node.module), alias.name)]


def _plain(node: ast.stmt) -> str:
    """Its text without comments and docstrings."""
    copied = ast.parse(ast.unparse(node)).body[0]
    for inner in ast.walk(copied):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner, clean=False) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    return ast.unparse(copied)


def _source(module: str) -> Path | None:
    """The file of a module of this project; nothing of others, nor of the program's errors and settings."""
    if module.startswith("pipelines."):
        return None
    paths = (folder.joinpath(*module.split(".")).with_suffix(".py") for folder in (ROOT, HERE))
    return next((path for path in paths if path.is_file()), None)


def _digest(texts: Sequence[str]) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=6).hexdigest()


def merged(path: Path, rows: Iterable[Row], date: str) -> None:
    """Write the rows into the list at `path`, in the place of older ones of the same section."""
    made = {row.name: {**asdict(row), "machine": machine(), "date": date, "commit": commit()} for row in rows}
    sections = {name.split("/")[0] for name in made}
    older = json.loads(path.read_text()) if path.exists() else []
    kept = [row for row in older if row["name"].split("/")[0] not in sections]
    path.write_text(json.dumps([*kept, *made.values()], indent=1) + "\n", encoding="utf-8")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.processor())
    return f"{model}, {os.cpu_count()} cores"


def commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip()
