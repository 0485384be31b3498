"""The crawls of a workspace, in order: which files belong to which, and which are sealed."""

import fcntl
import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import fsspec

from pipelines.errors import InputError
from pipelines.store import Workspace

CRAWL_FILES = (
    ".warc", ".warc.gz", ".wet", ".wet.gz", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".json.zst",
    ".parquet",
)  # fmt: skip
END_BYTES = 64 << 10  # of each end of a file that moved, compared with the one it was


@dataclass(frozen=True)
class Crawl:
    """A named set of input files; `files` maps a path below the crawl's root to (location, size in bytes)."""

    name: str
    order: int
    files: Mapping[str, tuple[str, int]]
    sealed: bool


def registered(workspace: Workspace) -> tuple[Crawl, ...]:
    if not workspace.exists("crawls.json"):
        return ()
    entries = workspace.read_json("crawls.json")
    last = len(entries) - 1
    return tuple(
        Crawl(
            name=entry["name"],
            order=order,
            files={relative: (place, size) for relative, (place, size) in entry["files"].items()},
            sealed=order < last,
        )
        for order, entry in enumerate(entries)
    )


def register(workspace: Workspace, name: str, inputs: Sequence[str]) -> Crawl:
    """Add a crawl, or files to the newest one. Older crawls are sealed: what they keep must not change."""
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise InputError(f"crawl name {name!r}: use letters, digits, '-', '_' and '.'")
    files = listed(inputs)
    with _locked(workspace):
        return _registered_anew(workspace, name, files)


@contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    """One registration at a time, lest one undo another; an object store has no locks."""
    if not workspace.is_local:
        yield
        return
    workspace.local().mkdir(parents=True, exist_ok=True)
    with workspace.local(".crawls.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield  # the lock goes with the descriptor


def _registered_anew(workspace: Workspace, name: str, files: dict[str, tuple[str, int]]) -> Crawl:
    crawls = registered(workspace)
    known = next((crawl for crawl in crawls if crawl.name == name), None)
    if known:
        for relative, (location, size) in files.items():
            if relative in known.files:
                _must_be_the_same(name, relative, known.files[relative], (location, size))
        if known.sealed and files.keys() - known.files.keys():
            new = min(files.keys() - known.files.keys())
            raise InputError(
                f"crawl {name!r} is sealed, since {crawls[-1].name!r} came after it, and cannot take {new}; "
                "put new files into a new crawl"
            )
        files = {**known.files, **files}
    entries = [{"name": crawl.name, "files": dict(crawl.files)} for crawl in crawls if crawl.name != name]
    entries.insert(known.order if known else len(entries), {"name": name, "files": dict(sorted(files.items()))})
    workspace.write_json(entries, "crawls.json")
    return next(crawl for crawl in registered(workspace) if crawl.name == name)


def _must_be_the_same(name: str, relative: str, known: tuple[str, int], given: tuple[str, int]) -> None:
    """A file keeps its size, and one that lies elsewhere now its two ends, where the old one is there to compare."""
    if known[1] != given[1]:
        raise InputError(
            f"{relative} has {given[1]} bytes now and had {known[1]} when crawl {name!r} was "
            "read; crawl files must not change: give the new one another name, or another crawl"
        )
    if known[0] != given[0] and _ends(known[0], known[1]) not in (None, _ends(*given)):
        raise InputError(
            f"{given[0]} is another file than {known[0]}, which crawl {name!r} knows as {relative}; "
            "give the new one another name, or another crawl"
        )


def _ends(location: str, size: int) -> tuple[bytes, bytes] | None:
    """The first and the last bytes of a file; None where it is gone."""
    try:
        with fsspec.open(location, "rb") as file:
            first = file.read(END_BYTES)
            file.seek(max(0, size - END_BYTES))
            return first, file.read(END_BYTES)
    except FileNotFoundError:
        return None


def listed(inputs: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Path below its root -> (location, bytes) of every crawl file below the inputs: files, folders, patterns."""
    found: dict[str, tuple[str, int]] = {}
    for given in inputs:
        filesystem, path = fsspec.core.url_to_fs(given)
        if glob.has_magic(path):
            matches = [(match, match.rsplit("/", 1)[-1]) for match in filesystem.glob(path)]
        elif filesystem.isdir(path):
            root = path.rstrip("/") + "/"
            matches = [(match, match.removeprefix(root)) for match in filesystem.find(path)]
        elif filesystem.isfile(path):
            matches = [(path, path.rsplit("/", 1)[-1])]
        else:
            raise InputError(f"input {given!r} is no file, folder or pattern that matches one")
        taken = [(match, relative) for match, relative in matches if relative.lower().endswith(CRAWL_FILES)]
        if not taken:
            raise InputError(f"input {given!r} holds no crawl file ({', '.join(CRAWL_FILES)})")
        for match, relative in taken:
            location = filesystem.unstrip_protocol(match)
            if relative in found and found[relative][0] != location:
                raise InputError(
                    f"two inputs have the same path below their roots, {relative!r}; give their common folder instead"
                )
            found[relative] = (location, int(filesystem.size(match)))
    return dict(sorted(found.items()))
