"""The local folder that a search or a comparison works in: its stage's own or, on an object store, a mirror of it.

A journal is appended to, synced and locked, which object stores cannot do. The mirror lies in the cache folder;
what the store has is fetched before work, and what is new goes back every minute, at the end, and on errors. A
killed process leaves its mirror behind: on the same machine nothing is lost, on another one the last minute.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from mixer.journal import write_whole
from pipelines.digest import digest_of
from pipelines.store import Stage

JOURNAL = "journal.jsonl"
FOLDERS = ("", "candidates", "fits")
KINDS = (".json", ".jsonl", ".parquet")
SECONDS = 60.0  # between journals sent to the store
OF_STORE = ("manifest.json", "lease.json")


@dataclass
class Place:
    """A working folder; `keep` is called after every trial, and costs nothing where there is no mirror."""

    folder: Path
    send: Callable[[], None] | None = None
    _sent: float = field(default_factory=monotonic)

    def keep(self) -> None:
        if self.send is not None and monotonic() - self._sent >= SECONDS:
            self.send()
            self._sent = monotonic()


@contextmanager
def working(stage: Stage) -> Iterator[Place]:
    """The stage's folder, to be used under the stage's lease."""
    if stage.workspace.is_local:
        yield Place(stage.workspace.local(*stage.steps))
        return
    folder = mirror(stage)
    _fetch(stage, folder)
    try:
        yield Place(folder, lambda: _send(stage, folder, (JOURNAL,)))
    finally:
        _send(stage, folder, _files(folder))


@contextmanager
def reading(stage: Stage) -> Iterator[Path]:
    """The stage's files to look at, without its lease: another process may be writing more of them."""
    if stage.workspace.is_local:
        yield stage.workspace.local(*stage.steps)
        return
    with TemporaryDirectory(prefix="sirdar-") as folder:
        _fetch(stage, Path(folder))
        yield Path(folder)


def mirror(stage: Stage) -> Path:
    """Where the mirror of a remote stage lies."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sirdar" / "searches" / digest_of([stage.workspace.root, stage.label])[:16]


def merged(ours: bytes, theirs: bytes) -> bytes:
    """Two copies of one journal as one: whole lines of both, each once."""
    lines = [line for data in (ours, theirs) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
    return b"".join(dict.fromkeys(lines))


def _fetch(stage: Stage, folder: Path) -> None:
    """The store's files over the mirror's; journals are merged."""
    for below in FOLDERS:
        steps = (*stage.steps, *([below] if below else []))
        for name in stage.workspace.names(*steps):
            if not name.endswith(KINDS) or (not below and name in OF_STORE):
                continue
            with stage.workspace.open(*steps, name) as file:
                data = file.read()
            path = folder / below / name
            if name == JOURNAL and path.exists():
                data = merged(path.read_bytes(), data)
            write_whole(path, data)


def _send(stage: Stage, folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if not (folder / name).exists():
            continue
        data = (folder / name).read_bytes()
        with stage.workspace.writing(*stage.steps, *name.split("/")) as file:
            file.write(data)


def _files(folder: Path) -> tuple[str, ...]:
    paths = (path for below in FOLDERS for path in sorted((folder / below).glob("*")))
    return tuple(
        path.relative_to(folder).as_posix()
        for path in paths
        if path.is_file() and path.suffix in KINDS and not path.name.startswith(".")
    )
