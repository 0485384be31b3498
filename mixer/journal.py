"""The journal of a search: one JSON line per finished trial, failures too, that survives any kill.

Lines come in the order of finishing, which means nothing: readers get entries sorted by (round, index). A
kill can tear only the last line, since every line is written, flushed and synced before the next, and a torn
line has no newline; it is cut off before anything is appended. Any other unreadable line is damage, or of
another version of this program, and an error: a finished trial is never thrown away.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from mixer.trial import Result, Trial
from pipelines.errors import LeaseError, StoreError


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished trial."""

    trial: Trial
    result: Result


def read(path: Path) -> tuple[Entry, ...]:
    """What the journal at `path` says, by (round, index), without locking it; () where there is none.

    One entry per key: a success stands whatever comes after it, and takes the place of earlier failures.
    Raises StoreError for a line that ends in a newline and cannot be read.
    """
    return parsed(path.read_bytes() if path.exists() else b"", path)


def parsed(data: bytes, path: Path | str) -> tuple[Entry, ...]:
    """The same of a journal's bytes; `path` is for errors."""
    entries, _ = _parsed(data, path)
    return _sorted(_latest(entries))


class Journal:
    """A journal opened for writing, by one process at a time.

    Opening raises LeaseError, naming the holder, where another live process has it open. The lock is the
    kernel's (flock on `<journal>.lock`), so it ends with its holder, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path.with_name(self.path.name + ".lock"))
        try:
            self._file = _mended(self.path)
            self._entries = _latest(_parsed(self.path.read_bytes(), self.path)[0])
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._lock.close()

    def record(self, trial: Trial, result: Result) -> None:
        """Append one line; it is on disk when this returns."""
        if result.key != trial.key:
            raise ValueError(f"result of {result.key} recorded for trial {trial.key}")
        line = {"trial": trial.to_json(), "result": result.to_json()}
        data = json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._file.fileno())
        except BaseException:
            # A full disk, or an interrupt between write and sync: no half line may stay before the next.
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise
        _add(self._entries, Entry(trial, result))

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def entries(self) -> tuple[Entry, ...]:
        """All entries, by (round, index)."""
        return _sorted(self._entries)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears complete or not at all, and is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parsed(data: bytes, path: Path | str) -> tuple[list[Entry], int]:
    """Entries, and how many bytes of `data` they take up; the rest is a torn last line."""
    entries: list[Entry] = []
    good = 0
    lines = data.splitlines(keepends=True)  # of bytes: at newlines and returns, which JSON escapes
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            entries.append(Entry(Trial.from_json(values["trial"]), Result.from_json(values["result"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if not line.endswith(b"\n"):
                break
            told = " ".join(str(error).split())  # pydantic's errors take several lines
            raise StoreError(
                f"{path}, line {number} of {len(lines)} cannot be read ({told}); a kill tears only a line without"
                " its newline. Use the version that wrote it, restore the file, or delete that line to train its"
                " trial again"
            ) from None
        good += len(line)
    return entries, good


def _mended(path: Path) -> FileIO:
    """The journal opened for appending, without a torn last line and ending in a newline."""
    file = FileIO(path, "a+")  # the caller closes it
    try:
        file.seek(0)
        data = file.read()
        _, good = _parsed(data, path)
        file.truncate(good)
        # A whole JSON object whose newline was cut off is still a finished trial.
        if good and data[good - 1 : good] != b"\n":
            file.write(b"\n")
        os.fsync(file.fileno())
    except BaseException:
        file.close()
        raise
    return file


def _locked(path: Path) -> FileIO:
    file = FileIO(path, "a+")  # held open as long as the lock
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "an unnamed process"
        file.close()
        raise LeaseError(
            f"{path.with_suffix('')} is being written by {holder}; wait for it to end, or stop it"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    return file


def _latest(entries: list[Entry]) -> dict[str, Entry]:
    latest: dict[str, Entry] = {}
    for entry in entries:
        _add(latest, entry)
    return latest


def _add(entries: dict[str, Entry], entry: Entry) -> None:
    before = entries.get(entry.result.key)
    if before is None or before.result.failed or not entry.result.failed:
        entries[entry.result.key] = entry


def _sorted(entries: dict[str, Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries.values(), key=lambda entry: (entry.trial.round, entry.trial.index, entry.result.key)))
