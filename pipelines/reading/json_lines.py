"""JSON lines to batches of rows that, with the lost bytes, tile the file.

Fields read: text, id, url, date, source, licence (or license); all but text may be missing. A bad line costs that
line. Lines may be compressed: their spans are those of `pipelines.reading.streams`, and a resumed reader decompresses
again and skips; after damage the rest of a compressed file is lost, since nothing tells where in it a line begins.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from types import NoneType
from typing import Any

import numpy as np
import orjson

from pipelines.errors import InputError
from pipelines.reading import json_scan
from pipelines.reading.batches import I64, TOLD, Batch, Item, from_values, since
from pipelines.reading.framed import ByteFile, Framed, Lost, Window
from pipelines.reading.streams import DamagedStream, GzipFile, Pieces, PlainPieces, Puller, Slices, ZstdFile

BLOCK_BYTES = 1 << 19  # of lines at once, and of what was pulled with them
MAX_BRACKETS = 500  # fewer cannot nest as deeply as any parser allows
EXACT = frozenset({str, NoneType, int, bool})  # integers beyond 64 bits come as floating-point numbers, which are not


def read_lines(
    file: ByteFile, *, name: str, size: int, compression: str, max_record_bytes: int, offset: int = 0
) -> Iterator[Item]:
    """One record a line, from `offset`, 0 or a boundary reported earlier; compression "", gz or zst.

    Raises InputError for a JSON array, which is no file of lines.
    """
    window = Window(file, size)
    if not compression:
        if window.at(0, 1024).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            raise InputError(f"{name} is one JSON array; write one record a line instead, e.g. with jq -c '.[]' {name}")
        yield from _plain_lines(window, offset, max_record_bytes)
    else:
        pieces: Pieces = GzipFile(window) if compression == "gz" else ZstdFile(window)
        yield from since(offset, _packed_lines(window, pieces, max_record_bytes))


def _plain_lines(window: Window, position: int, limit: int) -> Iterator[Item]:
    for block, num_bytes, _ in _blocks(PlainPieces(window, position), limit):
        if block is None:
            yield _from_line(None).over(position, position + num_bytes)
        else:
            yield _batch(block, limit, position)
        position += num_bytes
    if position < window.size:
        yield Lost(position, window.size, "truncated")


def _packed_lines(window: Window, pieces: Pieces, limit: int) -> Iterator[Item]:
    """Lines with the spans of `streams.Slices`; the last one of a block waits for the next block, or the end."""
    slices = Slices(pieces)
    held: Item | None = None
    try:
        for block, num_bytes, ended in _blocks(slices, limit):
            item: Item = _from_line(None) if block is None else _batch(block, limit, 0)
            line_ends = item.bounds[1:] if isinstance(item, Batch) else np.array([num_bytes])
            bounds = slices.bounds(line_ends, ended)
            if held:
                yield _over(held, bounds[:2])
            if isinstance(item, Batch) and len(item) > 1:
                yield _over(item.between(0, len(item) - 1), bounds[1:])
                item = item.between(len(item) - 1, len(item))
            held = item
    except DamagedStream as damage:
        yield Lost(slices.done, window.size, str(damage))
        return
    yield _over(held or Framed(0, 0, drop="empty_member"), np.array([slices.done, pieces.position]))


def _over(item: Any, bounds: I64) -> Item:
    """The same, its spans filled in."""
    return replace(item, bounds=bounds) if isinstance(item, Batch) else item.over(*bounds.tolist())


def _blocks(pieces: Puller, limit: int) -> Iterator[tuple[bytes | None, int, bool]]:
    """(whole lines, their bytes, whether the last has its end); None for one line over `limit`, which is not held."""
    whole: list[bytes] = []
    begun: list[bytes] = []  # of the next line; not held when it is over the limit
    num_whole = num_begun = 0
    while True:
        try:
            piece = pieces.pull()
        except DamagedStream:
            if whole:
                yield b"".join(whole), num_whole, True
            raise
        if num_begun > limit and (first := piece.find(b"\n") + 1):
            yield None, num_begun + first, True
            piece, num_begun = piece[first:], 0
        elif not piece:
            break
        if cut := piece.rfind(b"\n") + 1:
            whole += [*begun, piece[:cut]]
            num_whole += num_begun + cut
            begun, num_begun = [], 0
        begun.append(piece[cut:])
        num_begun += len(piece) - cut
        if num_begun > limit:
            begun.clear()
        if whole and (num_whole >= BLOCK_BYTES or num_begun > limit):
            yield b"".join(whole), num_whole, True
            whole, num_whole = [], 0
    if whole:
        yield b"".join(whole), num_whole, True
    if num_begun:
        yield (b"".join(begun) if num_begun <= limit else None), num_begun, False


def _batch(block: bytes, limit: int, position: int) -> Batch:
    """The lines of a block that begins at `position`."""
    scanned = json_scan.scan(block, limit)
    ends = scanned.ends
    at = {field: number for number, field in enumerate(json_scan.FIELDS)}
    starts, stops = scanned.starts, scanned.stops
    other = starts[at["licence"]] == stops[at["licence"]]
    for bounds in (starts, stops):
        bounds[at["licence"], other] = bounds[at["license"], other]
    told = {name: scanned.strings(at[name]) for name in ("id", "url", "date", "source", "licence")}

    def framed(row: int) -> Framed:
        line = block[int(ends[row - 1]) if row else 0 : int(ends[row])].removesuffix(b"\n")
        return _from_line(line if len(line) <= limit else None)

    bounds = position + np.concatenate([[0], ends])
    return Batch(bounds, scanned.plain, told, scanned.values, starts[at["text"]], stops[at["text"]], framed)


def _from_line(line: bytes | None) -> Framed:
    if line is None:
        return Framed(0, 0, drop="too_large")
    line = line.removeprefix(b"\xef\xbb\xbf").strip()
    if not line:
        return Framed(0, 0, drop="empty_line")
    values = _quickly(line)
    if values is not None:
        return from_values(values)
    num_replaced = 0
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode("utf-8", "replace")
        num_replaced = text.count("\ufffd") - line.count("\ufffd".encode())
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return Framed(0, 0, error="bad_json")
    if not isinstance(values, dict):
        return Framed(0, 0, error="bad_json")
    return from_values(values, num_replaced)


def _quickly(line: bytes) -> dict[str, Any] | None:
    """The line's object by orjson, None where the standard library may see it otherwise and has to decide.

    It takes NaN, lone surrogates and bad UTF-8, keeps numbers of any size as they are, and nests less deeply.
    """
    if line.count(b"[") + line.count(b"{") > MAX_BRACKETS:
        return None
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if type(values) is not dict:
        return None
    return values if EXACT.issuperset(map(type, map(values.get, TOLD))) else None
