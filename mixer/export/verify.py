"""Does a dataset's folder hold what its manifest says? Read from the files, with nothing taken on trust.

The schema of manifest.json is in mixer/export/manifest.py. Files whose bytes are wrong are named and not read any
further; what needs all rows (counts and weights of clusters, what the splits share) is then left unchecked,
and that is said too. Ids and digests of validation texts are held in memory: 16 bytes a row.
"""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixer.export import manifest as manifests
from mixer.export.shards import BESIDE, COLUMNS, NANOCHAT_ROWS, TEXT, beside
from pipelines.digest import content_digest, file_digest
from pipelines.errors import InputError

TOLERANCE = 1e-9  # of weights and epochs, which are quotients of integers that are checked exactly
FREE = frozenset((manifests.NAME, manifests.CARD, ".gitattributes", ".lease"))  # the last: of the store
FREE_FOLDERS = frozenset((".git", ".cache"))  # of git and of the Hub's client, beside the data
KEYS = frozenset(("name", "version", "layout", "files", "splits", "budget", "clusters", "digest"))
FACTS = ["id", "token_count", "cluster_id"]

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as stated; `path` is relative to the folder, "" for the whole."""

    path: str
    text: str


def verify(folder: Path) -> list[Problem]:
    """Everything in the folder that is not as its manifest says; empty if all is well."""
    path = folder / manifests.NAME
    if not path.is_file():
        return [Problem(manifests.NAME, f"is missing: {folder} is no dataset")]
    try:
        manifest = manifests.read(path.read_bytes())
    except InputError as error:
        return [Problem(manifests.NAME, str(error))]
    lacking = sorted(KEYS - manifest.keys())
    if lacking:
        return [Problem(manifests.NAME, f"lacks {', '.join(lacking)}")]
    try:
        return list(_problems(folder, manifest))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        # Only a manifest that is JSON but not of its schema gets here; its files may still be whole.
        return [Problem(manifests.NAME, f"is not of its schema: {type(error).__name__} {error}")]


def _problems(folder: Path, manifest: Values) -> Iterator[Problem]:
    yield from _manifest_problems(manifest)
    yield from _unlisted(folder, manifest["files"])
    rows = _Rows()
    whole = True
    # Validation first, so that one pass over training can look its texts up.
    for file in sorted(manifest["files"], key=lambda file: (file["split"] != "validation", file["path"])):
        found = list(_file_problems(folder, file, manifest["layout"], rows))
        whole = whole and not found
        yield from found
    if whole:
        yield from _row_problems(manifest, rows)
    else:
        yield Problem("", "clusters and splits were not checked, since files are missing or wrong")


class _Rows:
    """What is remembered of the rows: (id, tokens, cluster) of each split, and digests of validation texts."""

    def __init__(self) -> None:
        self.facts: dict[str, list[pa.Table]] = {split: [] for split in manifests.SPLITS}
        self.tokens: dict[str, Counter[int]] = {}  # of each cluster, by file
        self.texts: set[bytes] = set()
        self.num_shared_texts = 0

    def add(self, split: str, path: str, table: pa.Table) -> None:
        if "id" in table.column_names:
            self.facts[split].append(table.select(FACTS))
            summed = table.group_by("cluster_id").aggregate([("token_count", "sum")]).to_pylist()
            self.tokens[path] = Counter({row["cluster_id"]: row["token_count_sum"] for row in summed})
        if "text" not in table.column_names:
            return
        digests = (hashlib.blake2b(text.encode(), digest_size=16).digest() for text in table["text"].to_pylist())
        if split == "validation":
            self.texts.update(digests)
        else:
            self.num_shared_texts += sum(digest in self.texts for digest in digests)

    def of(self, split: str) -> pa.Table:
        """One row for each (id, cluster), with its draws and tokens."""
        empty = pa.schema([COLUMNS.field(name) for name in FACTS]).empty_table()
        table = pa.concat_tables([empty, *self.facts[split]])
        return table.group_by(["id", "cluster_id"]).aggregate([("token_count", "sum"), ([], "count_all")])


# ---------------------------------------------------------------------------------------------------------
# The manifest against itself and against the folder


def _manifest_problems(manifest: Values) -> Iterator[Problem]:
    if manifest["digest"] != manifests.own_digest(manifest):
        yield Problem(manifests.NAME, "was changed after it was written: its digest is another")
    files, splits = manifest["files"], manifest["splits"]
    paths = [file["path"] for file in files]
    if len(set(paths)) < len(paths):
        yield Problem(manifests.NAME, "lists a file twice")
    for split in manifests.SPLITS:
        data = [file for file in files if file["split"] == split and file["role"] == "data"]
        if not data:
            yield Problem(manifests.NAME, f"lists no {split} file")
        stated = splits[split]
        if sorted(stated["files"]) != sorted(file["path"] for file in data):
            yield Problem(manifests.NAME, f"names other {split} files in `splits` than in `files`")
        for key in ("rows", "tokens", "bytes"):
            total = sum(file[key] for file in data)
            if stated[key] != total:
                yield Problem(manifests.NAME, f"says {stated[key]} {key} of {split}; its files say {total}")
    yield from _phase_files(manifest)
    requested = math.fsum(cluster["weight_requested"] for cluster in manifest["clusters"])
    if abs(requested - 1) > TOLERANCE:
        yield Problem(manifests.NAME, f"requested weights sum to {requested}, not to 1")
    if manifest["layout"] == "nanochat":
        yield from _nanochat_problems(files, splits)


def _phase_files(manifest: Values) -> Iterator[Problem]:
    phases = manifest.get("phases", ())
    listed = {file["path"]: file for file in manifest["files"]}
    paths = [path for phase in phases for path in phase["files"]]
    if phases and paths != sorted(manifest["splits"]["train"]["files"]):
        yield Problem(manifests.NAME, "names other training files in `phases`, or in another order, than in `files`")
        return
    for number, phase in enumerate(phases, 1):
        for key in ("rows", "tokens"):
            total = sum(listed[path][key] for path in phase["files"])
            if phase[key] != total:
                yield Problem(manifests.NAME, f"says {phase[key]} {key} of phase {number}; its files say {total}")


def _nanochat_problems(files: Sequence[Values], splits: Values) -> Iterator[Problem]:
    data = sorted(file["path"] for file in files if file["role"] == "data")
    if splits["validation"]["files"] != data[-1:]:
        yield Problem("", "nanochat takes the last file for validation, and that is not the one stated")
    listed = {file["path"]: file for file in files}
    for path in data:
        other = listed.get(beside(path))
        if other is None or any(other[key] != listed[path][key] for key in ("split", "rows", "tokens")):
            yield Problem(path, f"has no {beside(path)} with the same rows and tokens")


def _unlisted(folder: Path, files: Sequence[Values]) -> Iterator[Problem]:
    listed = {file["path"] for file in files} | FREE
    for root, folders, names in os.walk(folder):
        place = Path(root).relative_to(folder)
        if place == Path():
            folders[:] = [name for name in folders if name not in FREE_FOLDERS]
        folders.sort()
        for name in sorted(names):
            path = (place / name).as_posix()
            if path not in listed:
                yield Problem(path, "is not in the manifest")


# ---------------------------------------------------------------------------------------------------------
# One file


def _file_problems(folder: Path, file: Values, layout: str, rows: _Rows) -> Iterator[Problem]:
    path = file["path"]
    inside = PurePosixPath(path)
    if inside.is_absolute() or ".." in inside.parts:
        yield Problem(path, "lies outside the folder")
        return
    place = folder / path
    if not place.is_file():
        yield Problem(path, "is missing")
        return
    size = place.stat().st_size
    if size != file["bytes"]:
        yield Problem(path, f"has {size} bytes, not {file['bytes']}")
        return
    if file_digest(place) != file["sha256"]:
        yield Problem(path, "has other bytes than were written: its SHA-256 is another")
        return
    try:
        parquet = pq.ParquetFile(place)
        table = parquet.read()
    except (pa.ArrowException, OSError) as error:
        yield Problem(path, f"cannot be read as Parquet: {error}")
        return
    groups = [parquet.metadata.row_group(k).num_rows for k in range(parquet.num_row_groups)]
    found = list(_table_problems(file, layout, table, groups))
    if not found:
        rows.add(file["split"], path, table)
    yield from found


def _table_problems(file: Values, layout: str, table: pa.Table, groups: list[int]) -> Iterator[Problem]:
    path, nanochat = file["path"], layout == "nanochat"
    schema = COLUMNS if not nanochat else TEXT if file["role"] == "data" else BESIDE
    if list(file["columns"]) != table.column_names or not table.schema.equals(schema):
        yield Problem(path, f"has the columns {', '.join(map(str, table.schema))}; not those of its layout")
        return
    if table.num_rows != file["rows"] or len(groups) != file["row_groups"]:
        yield Problem(
            path,
            f"has {table.num_rows} rows in {len(groups)} groups, not {file['rows']} in {file['row_groups']}",
        )
    if table.num_rows == 0:
        yield Problem(path, "has no rows")
    if content_digest(table) != file["content"]:
        yield Problem(path, "holds other values than were written: its content digest is another")
    if nanochat and file["role"] == "data" and _uneven(groups):
        yield Problem(path, f"has uneven row groups, or some over {NANOCHAT_ROWS} rows")
    if "token_count" in table.column_names:
        tokens = pc.sum(table["token_count"]).as_py() or 0
        if tokens != file["tokens"]:
            yield Problem(path, f"has {tokens} tokens, not {file['tokens']}")
    folder = PurePosixPath(path).parts[0]
    if layout == "clusters" and file["split"] == "train":
        held = pc.unique(table["cluster_id"]).to_pylist()
        if [f"cluster_{cluster}" for cluster in held] != [folder]:
            yield Problem(path, f"holds rows of the clusters {held}")


def _uneven(groups: list[int]) -> bool:
    """All row groups but the last must be equal, and the last no larger."""
    return max(groups, default=0) > NANOCHAT_ROWS or len({*groups[:-1]}) > 1 or groups[-1:] > groups[:1]


# ---------------------------------------------------------------------------------------------------------
# All rows


def _row_problems(manifest: Values, rows: _Rows) -> Iterator[Problem]:
    train, validation = rows.of("train"), rows.of("validation")
    shared = pc.sum(pc.is_in(validation["id"], value_set=train["id"].combine_chunks())).as_py() or 0
    if shared:
        yield Problem("", f"{shared} documents of validation are in training too")
    if rows.num_shared_texts:
        yield Problem("", f"{rows.num_shared_texts} rows of training hold exactly the text of a validation row")
    for split, table in (("train", train), ("validation", validation)):
        if pc.count_distinct(table["id"]).as_py() != table.num_rows:
            yield Problem("", f"a document of {split} is in two clusters")
    most = pc.max(train["count_all"]).as_py() or 0
    limit = math.ceil(manifest["budget"]["max_epochs"])
    if most > limit:
        yield Problem("", f"a document of training stands {most} times; the limit is {limit}")
    if (pc.max(validation["count_all"]).as_py() or 0) > 1:
        yield Problem("", "a document of validation stands twice")
    yield from _cluster_problems(manifest["clusters"], train)
    for number, phase in enumerate(manifest.get("phases", ()), 1):
        files = phase["files"] if manifest["layout"] != "nanochat" else map(beside, phase["files"])
        held: Counter[int] = sum((rows.tokens[path] for path in files), Counter())
        for cluster, stated in zip(manifest["clusters"], phase["weights"], strict=True):
            weight = held[cluster["id"]] / held.total() if held else 0.0
            if abs(weight - stated) > TOLERANCE:
                yield Problem("", f"cluster {cluster['id']} has a weight of {weight} in phase {number}, not {stated}")


def _cluster_problems(clusters: Sequence[Values], train: pa.Table) -> Iterator[Problem]:
    grouped = train.group_by("cluster_id").aggregate(
        [("token_count_sum", "sum"), ("count_all", "sum"), ([], "count_all")]
    )
    names = ("cluster_id", "tokens", "draws", "documents")
    held = {row["cluster_id"]: row for row in grouped.rename_columns(list(names)).to_pylist()}
    total = sum(row["tokens"] for row in held.values())
    for cluster in sorted(held.keys() - {cluster["id"] for cluster in clusters}):
        yield Problem("", f"cluster {cluster} has rows and is not in the manifest")
    for cluster in clusters:
        row = held.get(cluster["id"], dict.fromkeys(names, 0))
        for key in ("tokens", "draws", "documents"):
            if row[key] != cluster[key]:
                yield Problem("", f"cluster {cluster['id']} has {row[key]} {key}, not {cluster[key]}")
        weight = row["tokens"] / total if total else 0.0
        if abs(weight - cluster["weight"]) > TOLERANCE:
            yield Problem("", f"cluster {cluster['id']} has a weight of {weight}, not {cluster['weight']}")
        epochs = row["tokens"] / cluster["pool_tokens"] if cluster["pool_tokens"] else 0.0
        if abs(epochs - cluster["epochs"]) > TOLERANCE:
            yield Problem("", f"cluster {cluster['id']} has {epochs} epochs, not {cluster['epochs']}")
