"""JSON lines and Parquet: fields, spans, damage, resume."""

import datetime
import gzip
import io
import itertools
import json
import random
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipelines.errors import InputError
from pipelines.reading.batches import Batch
from pipelines.reading.framed import Framed, Lost
from pipelines.reading.json_lines import read_lines
from pipelines.reading.parquet_rows import read_parquet

LIMIT = 1 << 20


def records(items: Iterable[Framed | Lost | Batch]) -> list[Framed | Lost]:
    """Row by row; what a batch says of its plain rows is what it says of them one by one."""
    found: list[Framed | Lost] = []
    for item in items:
        if not isinstance(item, Batch):
            found.append(item)
            continue
        for row in range(len(item)):
            record = item.record(row)
            if item.plain[row]:
                told = {name: values[row].as_py() for name, values in item.told.items()}
                text = item.data[item.starts[row] : item.stops[row]].tobytes().decode()
                told["record_id"] = told.pop("id")
                assert record == Framed(record.offset, record.next_offset, "row", text=text, **told)
            found.append(record)
    return found


def lines(data: bytes, *, compression: str = "", offset: int = 0, limit: int = LIMIT) -> list[Framed | Lost]:
    return records(
        read_lines(
            io.BytesIO(data),
            name="f.jsonl",
            size=len(data),
            compression=compression,
            max_record_bytes=limit,
            offset=offset,
        )
    )


def rows(data: bytes, *, offset: int = 0, limit: int = LIMIT) -> list[Framed | Lost]:
    file = io.BytesIO(data)
    return records(read_parquet(file, name="f.parquet", size=len(data), max_record_bytes=limit, offset=offset))


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def assert_tiles(items: list[Framed | Lost], size: int) -> None:
    assert [item.offset for item in items] == [0, *(item.next_offset for item in items)][:-1]
    assert all(item.next_offset >= item.offset for item in items)
    assert items[-1].next_offset == size


def texts(items: list[Framed | Lost]) -> list[str]:
    return [item.text for item in items if isinstance(item, Framed) and item.text]


def corpus(num: int = 2000) -> bytes:
    rng = random.Random(1)
    return b"".join(
        json.dumps({"id": i, "text": f"{i} {rng.randbytes(150).hex()}"}).encode() + b"\n" for i in range(num)
    )


PACKERS = {
    "": lambda data: data,
    "gz": lambda data: gzip.compress(data[: len(data) // 3]) + gzip.compress(data[len(data) // 3 :]),
    "zst": lambda data: zstandard.compress(data[: len(data) // 3]) + zstandard.compress(data[len(data) // 3 :]),
}


def test_fields() -> None:
    value = {"id": 7, "url": "http://a/", "text": "t", "date": "2026", "source": "s", "license": "MIT", "lang": "en"}
    (item,) = lines(json.dumps(value).encode())
    assert isinstance(item, Framed)
    assert (item.record_id, item.url, item.text, item.date) == ("7", "http://a/", "t", "2026")
    assert (item.source, item.licence) == ("s", "MIT")


@pytest.mark.parametrize(
    ("line", "drop", "error", "num_replaced"),
    [
        (b'{"text": "a"', "", "bad_json", 0),
        (b"[1]", "", "bad_json", 0),
        (b'{"text": 5}', "", "no_text_field", 0),
        (b'{"content": "x"}', "", "no_text_field", 0),
        (b'{"text": null}', "no_text", "", 0),
        (b'{"text": ""}', "no_text", "", 0),
        (b"", "empty_line", "", 0),
        (b'{"text": "a\xffb"}', "", "", 1),
        (b"[" * 100_000, "", "bad_json", 0),
    ],
)
def test_a_bad_line_costs_that_line(line: bytes, drop: str, error: str, num_replaced: int) -> None:
    items = lines(b'{"text": "before"}\n' + line + b'\r\n{"text": "after"}')
    assert len(items) == 3
    assert isinstance(items[1], Framed)
    assert (items[1].drop, items[1].error, items[1].num_replaced) == (drop, error, num_replaced)
    assert texts(items)[0] == "before"
    assert texts(items)[-1] == "after"


@pytest.mark.parametrize(
    ("value", "record_id"),
    [
        ("12345678901234567890123", "12345678901234567890123"),  # beyond 64 bits
        ("18446744073709551616", "18446744073709551616"),
        ("-0", "0"),
        ("1.50", "1.5"),
        ("1e400", "inf"),
        ("NaN", "nan"),
        ("true", "True"),
        ("[1, 1.0, null]", "[1, 1.0, None]"),
        ('"\\ud800"', "\ud800"),
        ("9" * 4301, None),
        ("01", None),
        ("[" * 2000 + "]" * 2000, None),
        ("[" * 600 + "]" * 600, str(json.loads("[" * 600 + "]" * 600))),
    ],
)
def test_values_are_those_of_the_standard_library(value: str, record_id: str | None) -> None:
    for line in (f'{{"text": "a", "id": {value}}}', f'{{"id": 1, "text": "a", "id": {value}}}'):
        (item,) = lines(line.encode())
        assert isinstance(item, Framed)
        assert (item.error, item.record_id) == (("bad_json", "") if record_id is None else ("", record_id))


VALUES = (
    *("1", "-0", "0", "-12", "12.5", "1e400", "NaN", "true", "null", "01", "1.", "-", "1E+5", "123456789012345678"),
    *('"\\ud83d\\ude00"', '"\\ud83d"', '"\\u00e9\\n"', '"é—😀"', '"\\q"', '"\\u12"', '"\x01"', '"\t"', '""', '"MIT"'),
    *("[]", '{"a": [{}, [1, {"b": "]"}], null]}', "[1,]", '{"a"}', '{"a":1,}', "[1 2]", "{}", f'"{70 * "x"}"', " 7 "),
)


def test_plain_lines_are_read_as_others_are() -> None:
    """`lines` compares each plain one with what the line by itself gives."""
    draw = random.Random(4)
    keys = ("id", "url", "text", "date", "source", "licence", "license", "te\\u0078t", "meta", "longer than any")
    written = []
    for number in range(3000):
        fields = [f'"{draw.choice(keys)}" : {draw.choice(VALUES)}' for _ in range(draw.randrange(3))]
        fields.append(f'"text": "{number} é' + draw.choice(("", 40 * "z", "\\n", "\\ud800")) + '"')
        row = " {" + ",".join(fields) + "}" + draw.choice(("", "", " \t\r", "}", "\x0c", '{"text": "x"}'))
        at, odd = draw.randrange(len(row)), draw.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b'"'))
        written.append(row[:at].encode() + odd * (number % 9 == 0) + row[at:].encode() + b"\n")
    data = b"".join(written)
    assert len(lines(data)) == 3000
    assert 300 < plain(data).sum() < 2700


def test_ordinary_rows_are_plain() -> None:
    row = {"id": 7, "url": "http://é/", "text": 'a\n"b" — 😀', "meta": {"x": [1.5, None]}}
    for ascii_only in (True, False):
        assert plain(json.dumps(row, ensure_ascii=ascii_only).encode()).all()


def plain(data: bytes) -> Any:
    (batch,) = read_lines(io.BytesIO(data), name="f", size=len(data), compression="", max_record_bytes=LIMIT)
    assert isinstance(batch, Batch)
    return batch.plain


def test_byte_order_mark_and_array() -> None:
    assert texts(lines(b'\xef\xbb\xbf{"text": "x"}\n')) == ["x"]
    with pytest.raises(InputError, match="one JSON array"):
        lines(b'\n [{"text": "x"}]')


@pytest.mark.parametrize("compression", list(PACKERS))
def test_long_lines_are_passed_by_in_constant_memory(compression: str) -> None:
    data = b'{"text": "' + b"x" * (48 << 20) + b'"}\n{"text": "after"}\n'
    data = PACKERS[compression](data)
    tracemalloc.start()
    items = lines(data, compression=compression, limit=1 << 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [item.drop for item in items if isinstance(item, Framed)] == ["too_large", ""]
    assert peak < 40 << 20
    assert_tiles(items, len(data))


@pytest.mark.parametrize("compression", list(PACKERS))
def test_lines_tile_and_resume_at_any_boundary(compression: str) -> None:
    data = PACKERS[compression](corpus())
    items = lines(data, compression=compression)
    assert_tiles(items, len(data))
    assert texts(items) == [json.loads(line)["text"] for line in corpus().splitlines()]
    boundaries = [at for at, item in enumerate(items) if item.next_offset > item.offset]
    assert len(boundaries) > 5
    for at in boundaries[:: max(1, len(boundaries) // 10)]:
        assert lines(data, compression=compression, offset=items[at].next_offset) == items[at + 1 :]


@pytest.mark.parametrize("compression", ["gz", "zst"])
@pytest.mark.parametrize("harm", ["cut", "zeros"])
def test_after_damage_the_rest_is_lost_and_what_came_before_is_kept(compression: str, harm: str) -> None:
    whole = PACKERS[compression](corpus())
    half = len(whole) // 2
    data = whole[:half] if harm == "cut" else whole[:half] + bytes(100) + whole[half + 100 :]
    items = lines(data, compression=compression)
    assert_tiles(items, len(data))
    assert items[-1] == Lost(items[-1].offset, len(data), "truncated" if harm == "cut" else "damaged")
    found = texts(items)
    assert found == texts(lines(corpus()))[: len(found)]
    assert len(found) > 300


def test_padding_after_gzip_is_no_damage_but_rubbish_is() -> None:
    packed = gzip.compress(b'{"text": "x"}\n')
    assert_tiles(lines(packed + bytes(300), compression="gz"), len(packed) + 300)
    assert texts(lines(packed + bytes(300), compression="gz")) == ["x"]
    assert isinstance(lines(packed + b"rubbish", compression="gz")[-1], Lost)
    assert [item.drop for item in lines(gzip.compress(b""), compression="gz") if isinstance(item, Framed)] == [
        "empty_member"
    ]


# ---------------------------------------------------------------------------------------------------------
# Parquet


def table(num: int = 3500) -> pa.Table:
    rng = random.Random(2)
    return pa.table(
        {"id": [f"r{i}" for i in range(num)], "text": [f"{i} {rng.randbytes(40).hex()}" for i in range(num)]}
    )


@pytest.mark.parametrize("group", [1, 100, 1500, 10_000])
def test_parquet_rows_tile_and_resume_at_any_boundary(group: int) -> None:
    source = table(60 if group == 1 else 3500)
    data = parquet(source, row_group_size=group)
    items = rows(data)
    assert_tiles(items, len(data))
    assert texts(items) == source["text"].to_pylist()
    for at in range(0, len(items) - 1, 7 if group == 1 else 431):
        assert rows(data, offset=items[at].next_offset) == items[at + 1 :]


def test_parquet_types_nulls_and_odd_schemas() -> None:
    source = pa.table(
        {
            "text": pa.array(["a", None, ""], pa.large_string()).dictionary_encode(),
            "date": [datetime.date(2026, 1, 2)] * 3,
            "id": pa.array([1, 2, 3]),
            "lang": ["en"] * 3,
        }
    )
    items = rows(parquet(source))
    first = items[0]
    assert isinstance(first, Framed)
    assert (first.text, first.date, first.record_id) == ("a", "2026-01-02", "1")
    assert [item.drop for item in items if isinstance(item, Framed)] == ["", "no_text", "no_text"]
    sink = io.BytesIO()
    pl.DataFrame({"text": ["written by polars"]}).write_parquet(sink)
    assert texts(rows(sink.getvalue())) == ["written by polars"]


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (pa.table({"content": ["x"], "b": [1]}), r"f\.parquet has no column `text`, only content, b"),
        (pa.table({"text": [1]}), "holds int64, not strings"),
    ],
)
def test_parquet_without_text_says_what_there_is(source: pa.Table, match: str) -> None:
    with pytest.raises(InputError, match=match):
        rows(parquet(source))


def test_damaged_parquet_loses_the_group_or_the_file() -> None:
    data = bytearray(parquet(table(), row_group_size=500, compression="zstd", use_dictionary=False))
    start = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(2).column(1).data_page_offset
    data[start + 60 : start + 2000] = random.Random(3).randbytes(1940)
    items = rows(bytes(data))
    assert_tiles(items, len(data))
    assert [item.reason for item in items if isinstance(item, Lost)] == ["damaged"]
    assert texts(items) == [text for i, text in enumerate(table()["text"].to_pylist()) if not 1000 <= i < 1500]
    assert rows(bytes(data[:-100])) == [Lost(0, len(data) - 100, "damaged")]
    assert rows(b"PAR1 nothing else") == [Lost(0, 17, "damaged")]


def test_parquet_limit_and_no_rows() -> None:
    source = pa.table({"text": ["x" * 100, "y"]})
    assert [item.drop for item in rows(parquet(source), limit=50) if isinstance(item, Framed)] == ["too_large", ""]
    empty = parquet(source.slice(0, 0))
    assert rows(empty) == [Framed(0, len(empty), drop="empty_member")]


def test_real_documents(shared: Path) -> None:
    path = shared / "domains/encyclopedia_es.jsonl.gz"
    data = path.read_bytes()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        expected = [json.loads(line) for line in file]
    items = lines(data, compression="gz")
    assert_tiles(items, len(data))
    assert texts(items) == [value["text"] for value in expected]
    spans = [item for item in items if item.next_offset > item.offset]
    assert len(spans) > 20
    for item, value in itertools.islice(zip(items, expected, strict=True), 50):
        assert isinstance(item, Framed)
        assert item.record_id == str(value["id"])
