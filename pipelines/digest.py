"""Digests: of plain values, of Arrow content, of files. None depends on a library's way of writing bytes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def digest_of(value: Any) -> str:
    """64 hex digits of a JSON-like value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def versions(*libraries: str) -> dict[str, str]:
    """Installed versions of the libraries that a stage's output depends on."""
    return {name: _version(name) for name in libraries}


@cache
def _version(library: str) -> str:
    return metadata.version(library)  # 1 ms, and the lineage asks thousands of times a run


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(table: pa.Table) -> str:
    """32 hex digits of a table's values, column by column in name order.

    Parquet embeds its writer's version and Arrow pads, slices and chunks freely; the values stay.
    """
    hasher = hashlib.blake2b(digest_size=16)
    for name in sorted(table.column_names):
        column = table[name]
        hasher.update(f"{name}:{column.type}:{len(column)};".encode())
        array = column.combine_chunks()
        _update(hasher, array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks))
    return hasher.hexdigest()


def _update(hasher: Any, array: pa.Array) -> None:
    if array.null_count:
        hasher.update(np.packbits(pc.is_valid(array).to_numpy(zero_copy_only=False)).tobytes())
        array = array.drop_null()  # the bytes under a null are anyone's
    hasher.update(f"{len(array)};".encode())
    kind = array.type
    if pa.types.is_struct(kind):
        for field in kind:
            _update(hasher, pc.struct_field(array, field.name))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        hasher.update(np.asarray(pc.list_value_length(array).cast(pa.int64())).tobytes())
        _update(hasher, array.flatten())
    elif pa.types.is_fixed_size_list(kind):
        _update(hasher, array.flatten())
    elif kind in (pa.string(), pa.binary(), pa.large_string(), pa.large_binary()):
        hasher.update(np.asarray(pc.binary_length(array).cast(pa.int64())).tobytes())
        hasher.update(_bytes_of(array))
    elif pa.types.is_boolean(kind):
        hasher.update(np.packbits(array.to_numpy(zero_copy_only=False)).tobytes())
    elif pa.types.is_fixed_size_binary(kind):
        start = array.offset * kind.byte_width
        hasher.update(
            memoryview(array.buffers()[1])[start : start + len(array) * kind.byte_width] if len(array) else b""
        )
    else:
        values = np.ascontiguousarray(array.to_numpy(zero_copy_only=False))
        if values.dtype.hasobject:  # its bytes would be addresses
            raise TypeError(f"no digest of a column of {kind}")
        hasher.update(values.tobytes())


def _bytes_of(array: pa.Array) -> memoryview | bytes:
    if not len(array):
        return b""
    width = np.int64 if array.type in (pa.large_string(), pa.large_binary()) else np.int32
    offsets = np.frombuffer(array.buffers()[1], dtype=width)[array.offset : array.offset + len(array) + 1]
    data = array.buffers()[2]
    return memoryview(data)[int(offsets[0]) : int(offsets[-1])] if data is not None else b""


def rolled_up(parts: Sequence[Mapping[str, Any]]) -> str:
    """One digest for all parts of a stage, whatever order they were finished in."""
    return digest_of(sorted((str(part["part"]), str(part["content"])) for part in parts))[:32]
