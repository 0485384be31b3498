"""Token pools: one flat file of ids per bucket and split, to be memory-mapped by whatever trains on them.

    bucket-003.train.bin, bucket-003.validation.bin    little-endian uint16, or uint32 for a large vocabulary
    pools.json                                         sizes, counts, digests; written last: the commit

Documents stand one after the other in the order they came in, each ending in the end-of-text token. A
document is in one split, by its id. Counts of UTF-8 bytes are there for losses in bits per byte.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.errors import StoreError

VERSION = 1
INDEX = "pools.json"
SPLITS = ("train", "validation")
MAX_OPEN_FILES = 512  # two for each bucket; a usual limit is 1024

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PoolBatch:
    """Documents on their way into pools, row by row.

    tokens: list of ids of each document, end-of-text included; bucket: int [n], 0 and up, or -1 for a
    document that goes nowhere (it is counted); validation: bool [n]; num_bytes: int [n], UTF-8 text.
    """

    tokens: pa.ListArray
    bucket: npt.NDArray[np.integer]
    validation: npt.NDArray[np.bool_]
    num_bytes: npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Pool:
    """Pools on disk; num_tokens, num_documents and num_bytes are {split: int64 [buckets]}."""

    folder: Path
    dtype: np.dtype[Any]
    vocabulary: int
    tokenizer_digest: str
    num_tokens: dict[str, Counts]
    num_documents: dict[str, Counts]
    num_bytes: dict[str, Counts]
    num_left_out: int
    digest: str  # of everything in them

    @property
    def num_buckets(self) -> int:
        return len(self.num_tokens["train"])

    @staticmethod
    def open(folder: Path) -> "Pool":
        """Pools that `write_pool` wrote; StoreError when they are unfinished, or a file has another size."""
        pool = _read_index(folder)
        for split in SPLITS:
            for bucket, tokens in enumerate(pool.num_tokens[split].tolist()):
                path = folder / _file_name(bucket, split)
                size = path.stat().st_size if path.is_file() else -1
                if size != tokens * pool.dtype.itemsize:
                    found = "is missing" if size < 0 else f"has {size} bytes"
                    raise StoreError(
                        f"{path} {found}, {INDEX} says {tokens * pool.dtype.itemsize}; delete {folder} and "
                        f"build the pools again"
                    )
        return pool

    def path(self, bucket: int, split: str) -> Path:
        """The file of a bucket's split."""
        return self.folder / _file_name(bucket, split)

    def tokens(self, bucket: int, split: str) -> npt.NDArray[np.unsignedinteger]:
        """The ids of a bucket's split, memory-mapped and read-only."""
        if not self.num_tokens[split][bucket]:
            return np.zeros(0, dtype=self.dtype)  # an empty file cannot be mapped
        return np.memmap(self.path(bucket, split), dtype=self.dtype, mode="r")


def validation_rows(ids: pa.FixedSizeBinaryArray, share: float) -> npt.NDArray[np.bool_]:
    """bool [n]: which documents are kept from training, about `share` of them, by their 16-byte ids alone.

    The bits are mixed first, so that a sample that was itself taken by id is split like the whole.
    """
    halves = np.frombuffer(b"".join(ids.to_pylist()), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    mixed = halves[:, 0] ^ (halves[:, 1] << np.uint64(1)) ^ np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # the finaliser of SplitMix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed < np.uint64(int(share * float(1 << 53)) << 11)


# ---------------------------------------------------------------------------------------------------------
# Writing


@dataclass(slots=True)
class _Writing:
    """One file that is being written."""

    file: IO[bytes]
    hasher: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    num_tokens: int = 0
    num_documents: int = 0
    num_bytes: int = 0

    def append(self, ids: npt.NDArray[np.unsignedinteger], num_documents: int, num_bytes: int) -> None:
        data = ids.tobytes()
        self.file.write(data)
        self.hasher.update(data)
        self.num_tokens += len(ids)
        self.num_documents += num_documents
        self.num_bytes += num_bytes


def write_pool(
    folder: Path, batches: Iterable[PoolBatch], *, num_buckets: int, vocabulary: int, tokenizer_digest: str
) -> Pool:
    """Pools of all batches, in their order, in one pass and in the memory of one batch.

    Files get their names when all are complete, and pools.json comes last: a killed run leaves nothing that
    `Pool.open` would take, and a new one starts over. Raises StoreError for finished pools (they are never
    overwritten), for a bucket out of range, and for an id that the vocabulary does not have.
    """
    if (folder / INDEX).exists():
        raise StoreError(f"{folder} already holds finished pools; delete it to build them again")
    if 2 * num_buckets > MAX_OPEN_FILES:
        raise StoreError(
            f"{num_buckets} buckets need {2 * num_buckets} open files, over {MAX_OPEN_FILES}; lower clusters.k, raise"
            " clusters.distance, or cut fewer clusters.tiers"
        )
    dtype = np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")
    folder.mkdir(parents=True, exist_ok=True)
    left_out = 0
    with _open_files(folder, num_buckets) as files:
        for batch in batches:
            left_out += _append(files, batch, dtype, num_buckets, vocabulary)
    index = {
        "version": VERSION,
        "dtype": dtype.str,
        "vocabulary": vocabulary,
        "tokenizer_digest": tokenizer_digest,
        "num_left_out": left_out,
        "files": {
            _file_name(bucket, split): {
                "num_tokens": file.num_tokens,
                "num_documents": file.num_documents,
                "num_bytes": file.num_bytes,
                "content": file.hasher.hexdigest(),
            }
            for (bucket, split), file in files.items()
        },
    }
    _write_index(folder, index)
    return Pool.open(folder)


def _append(
    files: dict[tuple[int, str], _Writing],
    batch: PoolBatch,
    dtype: np.dtype[Any],
    num_buckets: int,
    vocabulary: int,
) -> int:
    """Append a batch; the number of its documents that have no bucket."""
    bucket = np.asarray(batch.bucket, dtype=np.int64)
    rows = len(batch.tokens)
    if {len(bucket), len(batch.validation), len(batch.num_bytes)} != {rows}:
        raise StoreError(
            f"a batch of {rows} documents came with {len(bucket)} buckets, {len(batch.validation)} splits "
            f"and {len(batch.num_bytes)} sizes; the parts are not aligned"
        )
    if rows and (bucket.min() < -1 or bucket.max() >= num_buckets):
        raise StoreError(f"a document is in bucket {bucket.max()}; there are {num_buckets}")
    key = np.where(bucket < 0, -1, 2 * bucket + np.asarray(batch.validation, dtype=np.int64))
    for found in np.unique(key[key >= 0]).tolist():
        chosen = np.flatnonzero(key == found)  # ascending: the order of the documents is kept
        ids = batch.tokens.take(pa.array(chosen)).flatten().to_numpy(zero_copy_only=False)
        if len(ids) and (int(ids.max()) >= vocabulary or int(ids.min()) < 0):
            raise StoreError(f"a token id is {int(ids.max())}; the vocabulary ends at {vocabulary - 1}")
        size = int(np.asarray(batch.num_bytes)[chosen].sum())
        file = files[found // 2, SPLITS[found % 2]]
        file.append(np.ascontiguousarray(ids, dtype=dtype), len(chosen), size)
    return int((key < 0).sum())


@contextmanager
def _open_files(folder: Path, num_buckets: int) -> Iterator[dict[tuple[int, str], _Writing]]:
    """Files under temporary names, which become the real ones when the block ends well."""
    suffix = f".tmp-{uuid.uuid4().hex[:8]}"
    places = {(bucket, split): folder / _file_name(bucket, split) for bucket in range(num_buckets) for split in SPLITS}
    for stale in folder.glob("*.tmp-*"):  # of a run that was killed; the stage's lease keeps others out
        stale.unlink()
    try:
        with ExitStack() as stack:
            files = {
                key: _Writing(stack.enter_context(path.with_name(path.name + suffix).open("wb")))
                for key, path in places.items()
            }
            yield files
            for writing in files.values():
                writing.file.flush()
                os.fsync(writing.file.fileno())
        for path in places.values():
            path.with_name(path.name + suffix).rename(path)
    finally:
        for path in places.values():
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).unlink()


def _write_index(folder: Path, index: dict[str, Any]) -> None:
    unnamed = folder / f"{INDEX}.tmp-{uuid.uuid4().hex[:8]}"
    with unnamed.open("w", encoding="utf-8") as file:
        json.dump(index, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    unnamed.rename(folder / INDEX)


# ---------------------------------------------------------------------------------------------------------
# Reading


def _read_index(folder: Path) -> Pool:
    path = folder / INDEX
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StoreError(f"{folder} has no {INDEX}: its pools were never finished; build them") from None
    try:
        index = json.loads(text)
        if index["version"] != VERSION:
            raise StoreError(
                f"{path} has format {index['version']}, this program reads {VERSION}; build the pools again"
            )
        files = index["files"]
        buckets = len(files) // 2
        counts = {
            name: {
                split: np.array([files[_file_name(bucket, split)][name] for bucket in range(buckets)], dtype=np.int64)
                for split in SPLITS
            }
            for name in ("num_tokens", "num_documents", "num_bytes")
        }
        return Pool(
            folder=folder,
            dtype=np.dtype(index["dtype"]),
            vocabulary=index["vocabulary"],
            tokenizer_digest=index["tokenizer_digest"],
            num_left_out=index["num_left_out"],
            digest=hashlib.sha256(text.encode()).hexdigest()[:32],
            **counts,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error!r}); delete {folder} and build the pools again") from error


def _file_name(bucket: int, split: str) -> str:
    return f"bucket-{bucket:03d}.{split}.bin"
