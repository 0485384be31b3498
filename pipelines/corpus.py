"""What every stage is given: the workspace, its crawls in order, the settings, and where progress is told."""

import os
import resource
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import tomli_w

from pipelines import configuration
from pipelines.crawls import Crawl, registered
from pipelines.engine import run_map
from pipelines.errors import InputError, SettingsError, SirdarError
from pipelines.settings import Settings
from pipelines.store import Stage, Workspace


@dataclass(frozen=True)
class Report:
    """What one stage did."""

    stage: str
    crawl: str
    label: str
    rows: int
    counts: Mapping[str, Any]
    seconds: float
    parts: int
    reused: int  # parts that were there already
    peak_bytes: int
    content: str


@dataclass(frozen=True)
class Finished:
    """What the addresses of later stages need of a finished one's manifest."""

    content: str
    parts: frozenset[str]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Finished":
        return cls(str(manifest["content"]), frozenset(part["part"] for part in manifest.get("parts", ())))


class Progress(Protocol):
    def begin(self, stage: str, crawl: str, *, total: int, done: int) -> None: ...
    def advance(self, count: int, rows: int) -> None: ...
    def note(self, text: str) -> None: ...
    def end(self, report: Report) -> None: ...


class Silent:
    """Progress that nobody watches."""

    def begin(self, stage: str, crawl: str, *, total: int, done: int) -> None: ...
    def advance(self, count: int, rows: int) -> None: ...
    def note(self, text: str) -> None: ...
    def end(self, report: Report) -> None: ...


@dataclass(frozen=True)
class Corpus:
    workspace: Workspace
    settings: Settings
    progress: Progress = field(default_factory=Silent, compare=False)
    # What was worked out and read once: addresses that settings alone decide, those that contents decide, and those
    # contents, by label. Without them each crawl would read the manifests of all before it, again for each stage.
    addresses: dict[tuple[str, ...], Stage] = field(default_factory=dict, init=False, compare=False, repr=False)
    settled: dict[tuple[str, ...], Stage] = field(default_factory=dict, init=False, compare=False, repr=False)
    contents: dict[str, Finished] = field(default_factory=dict, init=False, compare=False, repr=False)

    @cached_property
    def crawls(self) -> tuple[Crawl, ...]:
        """Registered crawls, oldest first. Read once: a registration makes a new Corpus."""
        return registered(self.workspace)

    def crawl(self, name: str) -> Crawl:
        for crawl in self.crawls:
            if crawl.name == name:
                return crawl
        known = ", ".join(crawl.name for crawl in self.crawls) or "none"
        raise InputError(f"no crawl {name!r} in {self.workspace.root}; there are: {known}")

    @property
    def fit_crawls(self) -> tuple[str, ...]:
        """The crawls that clusters and tokeniser are fitted on: those of the settings, else the first."""
        known = [crawl.name for crawl in self.crawls]
        unknown = sorted(set(self.settings.clusters.fit_crawls) - set(known))
        if unknown:
            raise SettingsError(f"clusters.fit_crawls: no crawl {unknown[0]!r}; there are: {', '.join(known)}")
        return self.settings.clusters.fit_crawls or tuple(known[:1])

    def finished(self, stage: Stage) -> Finished:
        """What the stage's manifest says, read once; StoreError where the stage has not been run."""
        if stage.label not in self.contents:
            self.contents[stage.label] = Finished.of(stage.finished())
        return self.contents[stage.label]

    def run(
        self,
        stage: Stage,
        parts: Sequence[str],
        work: Callable[[str], Any],
        *,
        on_driver: bool = False,
    ) -> Report:
        """Do what is missing of a stage's parts, seal it, tell the report.

        `work(part)` commits the part and returns (rows, peak bytes). It runs on the engine, or in this process.
        """
        started = time.monotonic()
        recipe = stage.recipe
        with stage.lease():
            done = stage.sidecars()
            todo = [part for part in parts if part not in done]
            self.progress.begin(recipe.stage, recipe.crawl, total=len(parts), done=len(parts) - len(todo))
            peak = [0]

            def landed(item: str, told: Any) -> None:
                rows, peak_bytes = told
                peak[0] = max(peak[0], peak_bytes)
                self.progress.advance(1, rows)

            if on_driver:
                for part in todo:
                    landed(part, work(part))
            else:
                self.map(work, todo, landed)
            manifest = sealed(stage, parts)
        return self.report(stage, manifest, started, parts=len(parts), todo=len(todo), peak_bytes=peak[0])

    def map(self, work: Callable[[str], Any], items: Sequence[str], landed: Callable[[str, Any], None]) -> None:
        run_map(work, items, self.settings.engine, landed)

    def report(
        self,
        stage: Stage,
        manifest: Mapping[str, Any],
        started: float,
        *,
        parts: int,
        todo: int,
        peak_bytes: int = 0,
        name: str = "",
        process_bytes: int = 0,
    ) -> Report:
        """Tell and log what was done; `process_bytes`: peak of the largest training process, where there were such."""
        if self.contents.get(stage.label, known := Finished.of(manifest)) != known:
            self.contents.clear()
            self.settled.clear()
        report = Report(
            stage=name or stage.recipe.stage,
            crawl=stage.recipe.crawl,
            label=stage.label,
            rows=manifest["rows"],
            counts=manifest.get("counts", {}),
            seconds=time.monotonic() - started,
            parts=parts,
            reused=parts - todo,
            peak_bytes=max(peak_bytes, peak_memory()),
            content=manifest["content"],
        )
        self.workspace.log_run(
            {
                "stage": report.stage,
                "crawl": report.crawl,
                "digest": stage.recipe.digest,
                "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "seconds": round(report.seconds, 3),
                "workers": self.settings.engine.workers or os.cpu_count(),
                "parts": parts,
                "reused": report.reused,
                "peak_bytes": report.peak_bytes,
                **({"process_bytes": process_bytes} if process_bytes else {}),
            }
        )
        self.progress.end(report)
        forget_peak()
        return report


def sealed(stage: Stage, parts: Sequence[str]) -> dict[str, Any]:
    """The manifest of a stage of rows, with the counts of its parts added up."""
    sidecars = stage.sidecars()
    return stage.seal(parts, counts=added([sidecars[part].get("counts", {}) for part in parts if part in sidecars]))


def added(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Nested counters, summed key by key."""
    total: dict[str, Any] = {}
    for one in counts:
        for key, value in one.items():
            if isinstance(value, Mapping):
                total[key] = added([total.get(key, {}), value])
            else:
                total[key] = total.get(key, 0) + value
    return total


def peak_memory() -> int:
    """Peak resident bytes of this process since `forget_peak`, or since its start."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Start peak memory afresh, so that a stage does not report what an earlier one took in the same process."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # not Linux: peaks are then those of the process's life


# ---------------------------------------------------------------------------------------------------------
# The settings that lie in a workspace


SETTINGS_FILE = "sirdar.toml"


def opened(workspace: Workspace, progress: Progress | None = None) -> Corpus:
    """The corpus of an existing workspace, under the settings that lie in it."""
    if not workspace.exists(SETTINGS_FILE):
        raise SirdarError(
            f"{workspace.root} is no workspace yet; start one with `sirdar build INPUT... --workspace {workspace.root}`"
        )
    return Corpus(workspace, configuration.resolved(_kept(workspace)), progress or Silent())


def choose(
    workspace: Workspace,
    file: Path | None,
    *,
    preset: str | None,
    changes: Sequence[str],
    targets: Sequence[str] = (),
) -> dict[str, Any]:
    """What a person chose now, on top of what lies in the workspace; a file or preset starts afresh."""
    kept = _kept(workspace) if workspace.exists(SETTINGS_FILE) and not (file or preset) else None
    chosen = configuration.given(file, preset=preset, changes=changes, kept=kept)
    if targets:
        pairs = [target.partition("=") for target in targets]
        if any(not equals for _, equals, _ in pairs):
            raise SettingsError(f"--target {targets[0]!r}: write name=file.jsonl")
        chosen["targets"] = [{"name": name, "path": str(Path(path).resolve())} for name, _, path in pairs]
    chosen = configuration.anchored(chosen, Path.cwd())
    configuration.resolved(chosen)  # refuses what is wrong before anything is kept
    return chosen


def keep(workspace: Workspace, chosen: Mapping[str, Any]) -> None:
    """Write the settings file of a workspace."""
    with workspace.writing(SETTINGS_FILE) as file:
        file.write(tomli_w.dumps(chosen).encode())


def _kept(workspace: Workspace) -> dict[str, Any]:
    with workspace.open(SETTINGS_FILE) as file:
        try:
            return tomllib.loads(file.read().decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{workspace.path(SETTINGS_FILE)} is not TOML: {error}") from None
