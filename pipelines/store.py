"""Where things lie: a workspace of stages, a stage of parts, and a sidecar that commits each part.

    <stage>/<crawl>/<digest12>/part-<file hash>-<k>.parquet   rows, aligned with the parts of `documents`
                               part-<file hash>-<k>.json      sidecar: the commit of the part
                               manifest.json                  roll-up of the sidecars, written when all are there
    <stage>/<digest12>/...                                    the same for stages that span all crawls

The digest in the path is the stage's recipe: its settings, version, libraries and inputs. Nothing is
overwritten; a changed recipe is another folder. Sidecars and manifests hold no times, hosts or worker
counts (those go to runs.jsonl), so two runs that do the same write the same.
"""

import json
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import leases
from pipelines.digest import content_digest, digest_of, file_digest, rolled_up
from pipelines.errors import StoreError
from pipelines.records import ID

MAKING = ".making"  # the folder of a stage's files before they are published
TORN = ".tmp"  # what a killed process leaves of a file begun


@dataclass(frozen=True)
class Workspace:
    """A root folder or URL (`/data/ws`, `s3://bucket/ws`) and the few ways to touch what is below it."""

    root: str

    @cached_property
    def _located(self) -> tuple[Any, str]:
        filesystem, path = fsspec.core.url_to_fs(self.root)
        return filesystem, path.rstrip("/")

    @property
    def is_local(self) -> bool:
        protocol = self._located[0].protocol
        return "file" in (protocol if isinstance(protocol, tuple | list) else (protocol,))

    def path(self, *steps: str) -> str:
        return "/".join((self._located[1], *(step for step in steps if step)))

    def local(self, *steps: str) -> Path:
        if not self.is_local:
            raise StoreError(f"{self.root} is no local folder")
        return Path(self.path(*steps))

    def exists(self, *steps: str) -> bool:
        return bool(self._located[0].exists(self.path(*steps)))

    def open(self, *steps: str) -> Any:
        return self._located[0].open(self.path(*steps), "rb")

    def names(self, *steps: str) -> list[str]:
        """Names directly below a folder, sorted; none where there is no folder."""
        filesystem, _ = self._located
        filesystem.invalidate_cache()
        try:
            listing = filesystem.ls(self.path(*steps), detail=False)
        except FileNotFoundError:
            return []
        return sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in listing)

    def size(self, *steps: str) -> int:
        return int(self._located[0].du(self.path(*steps))) if self.exists(*steps) else 0

    def parquet(self, *steps: str) -> pq.ParquetFile:
        """A Parquet file, opened without Python in between.

        Arrow's threads may let go of a Python buffer only when the interpreter is ending, which then aborts
        (one command in ten, "terminate called without an active exception").
        """
        if self.is_local:
            return pq.ParquetFile(self.path(*steps))
        with self.open(*steps) as file:
            data = file.read()
        buffer = pa.allocate_buffer(len(data))
        memoryview(buffer).cast("B")[:] = data
        return pq.ParquetFile(pa.BufferReader(buffer))

    def read_table(self, *steps: str, columns: Sequence[str] | None = None) -> pa.Table:
        with self.parquet(*steps) as file:
            table = file.read(columns if columns is None else list(columns))
        return table if columns is None else table.select(columns)

    def read_json(self, *steps: str) -> Any:
        with self.open(*steps) as file:
            raw = file.read()
        try:
            return json.loads(raw)
        except ValueError:
            raise StoreError(f"{self.path(*steps)} is not JSON; delete it and run again") from None

    @contextmanager
    def writing(self, *steps: str) -> Iterator[Any]:
        """A binary file that appears whole or not at all: fsync and rename, or one object put."""
        filesystem, _ = self._located
        final = self.path(*steps)
        if not self.is_local:
            # Written here first: closing a remote file puts what it holds, also after an error.
            with tempfile.NamedTemporaryFile(prefix="sirdar-") as file:
                yield file
                file.flush()
                filesystem.put_file(file.name, final)
            return
        target = Path(final)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}{TORN}")
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, path: Path, *steps: str) -> None:
        """A finished file of this machine into its place, whole or not at all; on a local disk it is moved there."""
        filesystem, _ = self._located
        if not self.is_local:
            filesystem.put_file(str(path), self.path(*steps))
            return
        with path.open("rb") as file:
            os.fsync(file.fileno())
        target = Path(self.path(*steps))
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        _sync_folder(target.parent)

    def write_json(self, value: Any, *steps: str) -> None:
        with self.writing(*steps) as file:
            file.write((json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())

    def delete(self, *steps: str) -> None:
        self._located[0].rm(self.path(*steps), recursive=True)

    @contextmanager
    def lease(self, *steps: str) -> Iterator[None]:
        """Only one process writes, or deletes, a stage's folder; a dead one's lease ends with it."""
        if self.is_local:
            folder = Path(self.path(*steps))
            with leases.local_lease(folder, "/".join(steps)):
                for torn in folder.rglob(f".*{TORN}"):  # of a killed process; nobody else writes here now
                    torn.unlink(missing_ok=True)
                yield
        else:
            with leases.remote_lease(self, steps):
                yield

    def log_run(self, entry: Mapping[str, Any]) -> None:
        """One line of what ran when, where and for how long; outside all digests."""
        line = json.dumps({"host": socket.gethostname(), **entry}, sort_keys=True) + "\n"
        if self.is_local:
            Path(self.path()).mkdir(parents=True, exist_ok=True)
            with Path(self.path("runs.jsonl")).open("a", encoding="utf-8") as file:
                file.write(line)
        else:
            with self.writing("runs", f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.json") as file:
                file.write(line.encode())


@dataclass(frozen=True)
class Recipe:
    """All that a stage's output depends on."""

    stage: str
    version: int
    crawl: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("stage", "version", "crawl", "settings", "libraries", "inputs")}

    @cached_property
    def digest(self) -> str:
        return digest_of(self.values)[:12]


@dataclass(frozen=True)
class Stage:
    """One recipe's folder in a workspace."""

    workspace: Workspace
    recipe: Recipe

    @property
    def steps(self) -> tuple[str, ...]:
        recipe = self.recipe
        return tuple(step for step in (recipe.stage, recipe.crawl, recipe.digest) if step)

    @property
    def label(self) -> str:
        return "/".join(self.steps)

    # -- parts ------------------------------------------------------------------------------------------

    def sidecars(self) -> dict[str, dict[str, Any]]:
        """Part name -> sidecar of every committed part, in name order."""
        names = self.workspace.names(*self.steps)
        return {
            name[:-5]: self.workspace.read_json(*self.steps, name)
            for name in names
            if name.startswith("part-") and name.endswith(".json")
        }

    def has(self, part: str) -> bool:
        return self.workspace.exists(*self.steps, f"{part}.json")

    def sidecar(self, part: str) -> dict[str, Any]:
        return dict(self.workspace.read_json(*self.steps, f"{part}.json"))

    def commit(
        self, part: str, table: pa.Table, *, beside: Mapping[str, pa.Table] | None = None, **told: Any
    ) -> dict[str, Any]:
        """Write a part (and tables beside it), then its sidecar, which makes it exist."""
        tables = {"": table, **(beside or {})}
        for suffix, rows in tables.items():
            with self.workspace.writing(*self.steps, f"{part}{_dotted(suffix)}.parquet") as file:
                pq.write_table(rows, file, compression="zstd", row_group_size=8192, use_dictionary=_repeating(rows))
        sidecar = {
            "part": part,
            "rows": table.num_rows,
            "content": content_digest(table),
            "beside": {suffix: content_digest(rows) for suffix, rows in (beside or {}).items()},
            **told,
        }
        self.workspace.write_json(sidecar, *self.steps, f"{part}.json")
        return sidecar

    def read(self, part: str, columns: Sequence[str] | None = None, *, beside: str = "") -> pa.Table:
        """A committed part; its row count is held against the sidecar."""
        try:
            table = self.workspace.read_table(*self.steps, f"{part}{_dotted(beside)}.parquet", columns=columns)
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            command = self.recipe.stage.replace("_", "-")
            raise StoreError(
                f"{self.label}/{part}{_dotted(beside)}.parquet cannot be read ({error}); "
                f"delete {part}.json beside it and run `sirdar {command}` again"
            ) from None
        if not beside and table.num_rows != self.sidecar(part)["rows"]:
            raise StoreError(f"{self.label}/{part}: {table.num_rows} rows, its sidecar says otherwise; delete the part")
        return table

    def local(self) -> Path:
        """A folder on this machine with the stage's files: its own, or a copy for memory-mapping."""
        if self.workspace.is_local:
            return self.workspace.local(*self.steps)
        copy = Path.home() / ".cache" / "sirdar" / "stages" / digest_of([self.workspace.root, self.label])[:16]
        for part in self.finished()["parts"]:
            path = copy / part["part"]
            if not path.exists() or file_digest(path) != part["content"]:
                path.parent.mkdir(parents=True, exist_ok=True)
                with self.workspace.open(*self.steps, part["part"]) as source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
        return copy

    # -- the whole stage --------------------------------------------------------------------------------

    def seal(self, parts: Sequence[str], **told: Any) -> dict[str, Any]:
        """Roll the named parts' sidecars up into the manifest."""
        sidecars = self.sidecars()
        missing = [part for part in parts if part not in sidecars]
        if missing:
            raise StoreError(f"{self.label}: {len(missing)} parts have no sidecar, e.g. {missing[0]}; run it again")
        rows = [sidecars[part] for part in sorted(parts)]
        return self._publish_manifest(rows, told)

    @contextmanager
    def making(self) -> Iterator[Path]:
        """A folder for files until they are published: on the workspace's own disk, where that is a local one.

        What a killed run left in it is gone; the caller holds the lease.
        """
        if not self.workspace.is_local:
            with tempfile.TemporaryDirectory(prefix="sirdar-") as elsewhere:
                yield Path(elsewhere)
            return
        folder = self.workspace.local(*self.steps, MAKING)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, **told: Any) -> dict[str, Any]:
        """Put all files of a folder, that of `making`, into the stage, then the manifest that makes them exist."""
        rows = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            rows.append({"part": name, "rows": 0, "bytes": path.stat().st_size, "content": file_digest(path)})
            self.workspace.put(path, *self.steps, name)
        return self._publish_manifest(sorted(rows, key=lambda row: str(row["part"])), told)

    def _publish_manifest(self, rows: list[dict[str, Any]], told: Mapping[str, Any]) -> dict[str, Any]:
        manifest = {
            **self.recipe.values,
            "digest": self.recipe.digest,
            "rows": sum(row["rows"] for row in rows),
            "content": rolled_up(rows),
            "parts": [{"part": row["part"], "rows": row["rows"], "content": row["content"]} for row in rows],
            **told,
        }
        if self.manifest() != json.loads(json.dumps(manifest)):
            self.workspace.write_json(manifest, *self.steps, "manifest.json")
        return manifest

    def manifest(self) -> dict[str, Any] | None:
        if not self.workspace.exists(*self.steps, "manifest.json"):
            return None
        return dict(self.workspace.read_json(*self.steps, "manifest.json"))

    def finished(self) -> dict[str, Any]:
        """The manifest; StoreError where the stage has not been run."""
        manifest = self.manifest()
        if manifest is None:
            raise StoreError(f"{self.label} is not there yet; run `sirdar {self.recipe.stage.replace('_', '-')}` first")
        return manifest

    def lease(self) -> AbstractContextManager[None]:
        """Only one process writes a stage; a dead one's lease ends with it."""
        return self.workspace.lease(*self.steps)


def part_name(relative: str, k: int) -> str:
    """Name of the k-th part of an input file, from nothing but the file's path below its crawl's root."""
    return f"part-{digest_of(relative)[:16]}-{k:05d}"


def aligned(*tables: pa.Table) -> None:
    """StoreError unless all tables carry the same ids in the same order."""
    for other in tables[1:]:
        if not tables[0]["id"].equals(other["id"]):
            raise StoreError("parts of two stages do not carry the same ids; delete the newer stage's folder")


def _repeating(table: pa.Table) -> bool | list[str]:
    """The columns worth a dictionary: in those of ids, hashes and texts nearly every value is new."""
    if any(pa.types.is_nested(field.type) for field in table.schema):
        return True
    unlike = (ID, pa.uint64())
    return [field.name for field in table.schema if field.type not in unlike and field.name != "text"]


def _dotted(suffix: str) -> str:
    return f".{suffix}" if suffix else ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
