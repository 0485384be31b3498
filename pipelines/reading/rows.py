"""JSON lines and Parquet to framed records that, with the lost bytes, tile the file.

Fields read: text, id, url, date, source, licence (or license); all but text may be missing. A bad line costs
that line. JSON lines may be compressed: their spans are those of `pipelines.reading.streams`, and a resumed reader
decompresses again and skips; after damage the rest of a compressed file is lost, since nothing tells where in
it a line begins. The bytes of a Parquet row group are divided evenly among its rows, since columns have no
place for a row; a damaged row group is lost from the damage on, the next one is read.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from types import NoneType
from typing import Any

import orjson

from pipelines.errors import InputError
from pipelines.reading.framed import ByteFile, Framed, Lost, Window
from pipelines.reading.streams import GzipFile, Pieces, PlainPieces, ZstdFile, spread

FIELDS = ("id", "url", "text", "date", "source", "licence", "license")
BATCH_ROWS = 1000
MAX_BRACKETS = 500  # fewer cannot nest as deeply as any parser allows
TOLD = ("id", "url", "date", "source", "licence", "license")
EXACT = frozenset({str, NoneType, int, bool})  # integers beyond 64 bits come as floating-point numbers, which are not


def read_lines(
    file: ByteFile, *, name: str, size: int, compression: str, max_record_bytes: int, offset: int = 0
) -> Iterator[Framed | Lost]:
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
        for item in _packed_lines(window, pieces, max_record_bytes):
            if item.offset >= offset:
                yield item


def read_parquet(file: Any, *, name: str, size: int, max_record_bytes: int, offset: int = 0) -> Iterator[Framed | Lost]:
    """One record a row; a file whose footer cannot be read is lost whole.

    Raises InputError where there is no column `text` of strings.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's trouble, not the file's
        yield Lost(offset, size, "damaged")
        return
    columns = _columns(parquet.schema_arrow, name)
    groups = _group_spans(parquet.metadata, size)
    if not groups and offset == 0:
        yield Framed(0, size, drop="empty_member")
    for group, num_rows, start, end in groups:
        if end > offset:
            for item in _group(parquet, group, num_rows, start, end, columns, max_record_bytes):
                if item.offset >= offset:
                    yield item


# ---------------------------------------------------------------------------------------------------------
# Lines


def _plain_lines(window: Window, position: int, limit: int) -> Iterator[Framed | Lost]:
    for line, num_bytes in _lines(PlainPieces(window, position), limit):
        yield _from_line(line).over(position, position + num_bytes)
        position += num_bytes
    if position < window.size:
        yield Lost(position, window.size, "truncated")


def _packed_lines(window: Window, pieces: Pieces, limit: int) -> Iterator[Framed | Lost]:
    records = (_from_line(line) for line, _ in _lines(pieces, limit))
    done, damage = yield from spread(records, pieces, 0)
    if damage:
        yield Lost(done, window.size, damage)


def _lines(pieces: Pieces, limit: int) -> Iterator[tuple[bytes | None, int]]:
    """(line, its bytes with the line end); None for a line over `limit`, which is not held."""
    begun: list[bytes] = []
    num_bytes = 0
    while piece := pieces.pull():
        *ended, tail = piece.split(b"\n")
        for part in ended:
            num_bytes += len(part) + 1
            yield (b"".join([*begun, part]) if num_bytes - 1 <= limit else None), num_bytes
            begun.clear()
            num_bytes = 0
        num_bytes += len(tail)
        if num_bytes > limit:
            begun.clear()
        elif tail:
            begun.append(tail)
    if num_bytes:
        yield (b"".join(begun) if num_bytes <= limit else None), num_bytes


def _from_line(line: bytes | None) -> Framed:
    if line is None:
        return Framed(0, 0, drop="too_large")
    line = line.removeprefix(b"\xef\xbb\xbf").strip()
    if not line:
        return Framed(0, 0, drop="empty_line")
    values = _quickly(line)
    if values is not None:
        return _from_values(values)
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
    return _from_values(values, num_replaced)


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


def _from_values(values: dict[str, Any], num_replaced: int = 0) -> Framed:
    text = values.get("text")
    told = isinstance(text, str) and text != ""
    empty = not told and "text" in values and (text is None or text == "")
    return Framed(
        0,
        0,
        record_type="row",
        record_id=_string(values.get("id")),
        url=_string(values.get("url")),
        date=_string(values.get("date")),
        source=_string(values.get("source")),
        licence=_string(values.get("licence") or values.get("license")),
        text=text if told else None,
        num_replaced=num_replaced,
        drop="no_text" if empty else "",
        error="" if told or empty else "no_text_field",
    )


def _string(value: Any) -> str:
    if type(value) is str:
        return value
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


# ---------------------------------------------------------------------------------------------------------
# Parquet


def _columns(schema: Any, name: str) -> list[str]:
    import pyarrow as pa

    found = schema.names
    if "text" not in found:
        raise InputError(
            f"{name} has no column `text`, only {', '.join(found) or 'no column at all'}; "
            "rename the column that holds the documents"
        )
    kind = schema.field("text").type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise InputError(f"{name}: column `text` holds {kind}, not strings; cast it to string")
    return [column for column in FIELDS if column in found]


def _group_spans(metadata: Any, size: int) -> list[tuple[int, int, int, int]]:
    """(row group, rows, start, end) of the groups with rows, tiling the file by where their data starts."""
    groups = [g for g in range(metadata.num_row_groups) if metadata.row_group(g).num_rows]
    starts = [_group_start(metadata.row_group(group)) for group in groups]
    bounds = [0, *starts[1:], size]
    if any(left >= right for left, right in pairwise(bounds)):  # stored out of order
        bounds = [size * index // len(groups) for index in range(len(groups) + 1)]
    return [
        (group, metadata.row_group(group).num_rows, bounds[index], bounds[index + 1])
        for index, group in enumerate(groups)
    ]


def _group_start(group: Any) -> int:
    chunks = [group.column(index) for index in range(group.num_columns)]
    pages = [chunk.data_page_offset for chunk in chunks]
    dictionaries = [chunk.dictionary_page_offset for chunk in chunks if chunk.dictionary_page_offset]
    return int(min(pages + dictionaries))


def _group(
    parquet: Any, group: int, num_rows: int, start: int, end: int, columns: list[str], limit: int
) -> Iterator[Framed | Lost]:
    import pyarrow as pa

    row, position = 0, start
    try:
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns):
            for values in batch.to_pylist():
                row += 1
                next_position = start + (end - start) * row // num_rows
                framed = _from_values(values)
                if framed.text and len(framed.text.encode("utf-8", "replace")) > limit:
                    framed.text, framed.drop = None, "too_large"
                yield framed.over(position, next_position)
                position = next_position
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
    if position < end:
        yield Lost(position, end, "damaged")
