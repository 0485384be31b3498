"""Framing of WARC files: spans tile whatever the damage, and damage costs only what it covers."""

import gzip
import io
import random
import time
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from made_warc import record
from warcio.archiveiterator import ArchiveIterator

from pipelines.reading import payload
from pipelines.reading.framed import Framed, Lost
from pipelines.reading.warc import read_warc

LIMIT = 1 << 20


def pages(num: int, seed: int = 0) -> list[bytes]:
    """Bodies that do not compress well, so that damage hits data and not only headers."""
    rng = random.Random(seed)
    return [f"<p>{number}: {rng.randbytes(200).hex()}</p>".encode() for number in range(num)]


def read(data: bytes, *, offset: int = 0, compressed: bool = True, limit: int = LIMIT) -> list[Framed | Lost]:
    return list(
        read_warc(io.BytesIO(data), size=len(data), compressed=compressed, max_record_bytes=limit, offset=offset)
    )


def assert_tiles(items: list[Framed | Lost], size: int, start: int = 0) -> None:
    position = start
    for item in items:
        assert item.offset == position
        assert item.next_offset >= item.offset
        position = item.next_offset
    assert position == size


def bodies(items: list[Framed | Lost]) -> dict[str, bytes]:
    return {item.record_id: item.body for item in items if isinstance(item, Framed) and item.body}


def lost(items: list[Framed | Lost]) -> int:
    return sum(item.next_offset - item.offset for item in items if isinstance(item, Lost))


def only(data: bytes, **kwargs: object) -> Framed:
    (item,) = read(data, **kwargs)  # type: ignore[arg-type]
    assert isinstance(item, Framed)
    return item


# ---------------------------------------------------------------------------------------------------------
# Damage


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_cost_only_the_members_they_hit(data: st.DataObject) -> None:
    texts = pages(12)
    members = [gzip.compress(record(number, body), mtime=0) for number, body in enumerate(texts)]
    starts = [sum(map(len, members[:number])) for number in range(len(members))]
    damaged = bytearray(b"".join(members))
    hits = data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4))
    for position in hits:
        damaged[position] ^= data.draw(st.integers(1, 255))
    items = read(bytes(damaged))
    assert_tiles(items, len(damaged))
    hit = {max(n for n, start in enumerate(starts) if start <= position) for position in hits}
    found = bodies(items)
    for number, body in enumerate(texts):
        if number not in hit:
            assert found.pop(f"<urn:{number}>") == body
    for name, body in found.items():  # flips in a gzip header may be harmless; never a changed body
        assert body == texts[int(name[5:-1])]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_in_a_plain_file_cost_only_the_records_they_hit(data: st.DataObject) -> None:
    texts = pages(8)
    records = [record(number, body) for number, body in enumerate(texts)]
    starts = [sum(map(len, records[:number])) for number in range(len(records))]
    damaged = bytearray(b"".join(records))
    hits = data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=3))
    for position in hits:
        damaged[position] ^= data.draw(st.integers(1, 255))
    items = read(bytes(damaged), compressed=False)
    assert_tiles(items, len(damaged))
    hit = {max(n for n, start in enumerate(starts) if start <= position) for position in hits}
    found = bodies(items)
    for number, body in enumerate(texts):
        if number not in hit:
            assert found[f"<urn:{number}>"] == body


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.booleans())
def test_cut_anywhere_the_rest_is_lost_and_said_to_be(cut: int, compressed: bool) -> None:
    parts = [record(number, body) for number, body in enumerate(pages(8))]
    parts = [gzip.compress(part, mtime=0) for part in parts] if compressed else parts
    whole = b"".join(parts)
    data = whole[: min(cut, len(whole))]
    items = read(data, compressed=compressed)
    assert_tiles(items, len(data))
    ends = [sum(map(len, parts[: number + 1])) for number in range(len(parts))]
    num_whole = sum(end <= len(data) for end in ends)
    assert len(bodies(items)) >= num_whole
    if compressed:
        assert len(bodies(items)) == num_whole
        assert lost(items) == len(data) - ([0, *ends][num_whole])


def test_truncation_is_told_from_damage() -> None:
    members = [gzip.compress(record(number, body)) for number, body in enumerate(pages(3))]
    data = b"".join(members)
    assert [item.reason for item in read(data[:-20]) if isinstance(item, Lost)] == ["truncated"]
    hole = bytearray(data)
    hole[len(members[0]) + 40 : len(members[0]) + 60] = bytes(20)
    items = read(bytes(hole))
    assert [item.reason for item in items if isinstance(item, Lost)] == ["damaged"]
    assert lost(items) == len(members[1])


def test_gzip_magic_inside_a_damaged_member_is_no_record() -> None:
    stored = zlib.compressobj(0, zlib.DEFLATED, 31)  # uncompressed, so the page's own gzip bytes lie open
    inner = gzip.compress(b"not a record" * 50)
    first = bytearray(stored.compress(record(1, inner)) + stored.flush())
    first[-6] ^= 1  # the checksum
    second = gzip.compress(record(2, b"<p>fine"))
    items = read(bytes(first) + second)
    assert [type(item) for item in items] == [Lost, Framed]
    assert items[0].next_offset == len(first)


def test_trailing_garbage_and_wrong_names() -> None:
    plain = record(1, b"<p>one")
    packed = gzip.compress(plain)
    assert only(plain, compressed=True).body == only(packed, compressed=False).body == b"<p>one"
    items = read(packed + bytes(100))
    assert [type(item) for item in items] == [Framed, Lost]
    assert read(bytes(100), compressed=True) == [Lost(0, 100, "damaged")]
    assert read(b"") == []


# ---------------------------------------------------------------------------------------------------------
# Streams and resume


def layouts(num: int = 400) -> dict[str, bytes]:
    records = [record(number, body) for number, body in enumerate(pages(num))]
    groups = [b"".join(records[at : at + 7]) for at in range(0, num, 7)]
    return {
        "member each": b"".join(map(gzip.compress, records)),
        "seven to a member": b"".join(map(gzip.compress, groups)),
        "one member": gzip.compress(b"".join(records)),
        "plain": b"".join(records),
    }


@pytest.mark.parametrize("layout", list(layouts(1)))
def test_every_layout_reads_alike_and_resumes_at_any_boundary(layout: str) -> None:
    data = layouts()[layout]
    items = read(data, compressed=layout != "plain")
    assert_tiles(items, len(data))
    assert list(bodies(items).values()) == pages(400)
    boundaries = [at for at, item in enumerate(items) if item.next_offset > item.offset]
    assert len(boundaries) > 5
    for at in boundaries[:: max(1, len(boundaries) // 15)]:
        again = read(data, offset=items[at].next_offset, compressed=layout != "plain")
        assert again == items[at + 1 :]


def test_a_cut_single_member_keeps_what_came_before_the_cut() -> None:
    data = layouts()["one member"]
    items = read(data[: len(data) // 2])
    assert_tiles(items, len(data) // 2)
    assert 150 < len(bodies(items)) <= 200
    assert 0 < lost(items) <= 64 << 10


def test_a_bomb_is_dropped_in_constant_memory_and_reading_goes_on() -> None:
    bomb = gzip.compress(record(1, bytes(64 << 20)))
    data = bomb + gzip.compress(record(2, b"<p>after"))
    tracemalloc.start()
    items = read(data, limit=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [item.drop for item in items if isinstance(item, Framed)] == ["too_large", ""]
    assert_tiles(items, len(data))
    assert peak < 16 << 20


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_in_the_content_encoding_is_dropped(coding: str) -> None:
    zeros = bytes(32 << 20)
    packers = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }
    body = packers[coding](zeros)
    item = only(record(1, body, http=f"Content-Encoding: {coding}\r\n".encode()), compressed=False)
    assert item.drop == "too_large"


def test_plain_records_over_the_limit_are_passed_by() -> None:
    data = record(1, b"x" * (2 << 20)) + record(2, b"<p>after")
    items = read(data, compressed=False)
    assert [item.drop for item in items if isinstance(item, Framed)] == ["too_large", ""]


# ---------------------------------------------------------------------------------------------------------
# One record


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"<p>hello", mtime=0)),
        ("x-gzip", gzip.compress(b"<p>he", mtime=0) + gzip.compress(b"llo", mtime=0)),
        ("deflate", zlib.compress(b"<p>hello")),
        ("deflate", zlib.compress(b"<p>hello")[2:-4]),
        ("br", brotli.compress(b"<p>hello")),
        ("zstd", zstandard.ZstdCompressor().compress(b"<p>hello")),
        ("gzip", b"<p>hello"),
        ("br", b"<p>hello"),
        ("deflate", b"<p>hello"),
        ("identity", b"<p>hello"),
        ("deflate, gzip", gzip.compress(zlib.compress(b"<p>hello"), mtime=0)),
    ],
)
def test_content_encodings(coding: str, packed: bytes) -> None:
    item = only(record(1, packed, http=f"Content-Encoding: {coding}\r\n".encode()), compressed=False)
    assert (item.body, item.error, item.drop) == (b"<p>hello", "", "")


def test_bodies_of_many_members_are_read_whole_and_in_linear_time() -> None:
    rng = random.Random(3)
    pieces = [rng.randbytes(rng.choice([0, 1, 100, payload.SLICE_BYTES, 50_000])) for _ in range(80)]
    body = b"".join(map(gzip.compress, pieces))
    answer = payload.Response(200, "", "", {"content-encoding": "gzip"}, body)
    assert payload.decoded(answer, LIMIT * 4) == b"".join(pieces)
    cut = payload.decoded(answer._replace(body=body[:-30_000]), LIMIT * 4)
    assert b"".join(pieces).startswith(cut)
    assert cut
    tiny = gzip.compress(b"", mtime=0)
    answer = answer._replace(body=tiny * ((4 << 20) // len(tiny)) + gzip.compress(b"<p>end"))
    start = time.perf_counter()
    assert payload.decoded(answer, LIMIT) == b"<p>end"
    assert time.perf_counter() - start < 5  # 0.4 s; copying the rest at every member takes minutes


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"3\r\n<p>\r\n5;x=y\r\nhello\r\n0\r\n\r\n", b"<p>hello"),
        (b"3\r\n<p>\r\n5\r\nhel", b"<p>hel"),
        (b"<p>hello", b"<p>hello"),
    ],
)
def test_chunks(body: bytes, expected: bytes) -> None:
    assert only(record(1, body, http=b"Transfer-Encoding: chunked\r\n"), compressed=False).body == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (record(1, b"3\r\n<p>\r\nzz\r\n", http=b"Transfer-Encoding: chunked\r\n"), "bad_chunks"),
        (record(1, b"\x1f\x8b" + bytes(20), http=b"Content-Encoding: gzip\r\n"), "bad_encoding"),
        (record(1, b"x").replace(b"HTTP/1.1 200", b"SMTP/1.1 200"), "bad_http"),
        (record(1, b"xyz").replace(b"Content-Length: ", b"Content-Length: x"), "bad_header"),
        (record(1, b"xyz").replace(b"Content-Length: ", b"Content-Length: 9"), "bad_length"),
    ],
)
def test_a_broken_record_in_a_sound_member_is_an_error_and_the_next_is_read(data: bytes, reason: str) -> None:
    following = record(2, b"<p>after")
    for items in (read(gzip.compress(data) + gzip.compress(following)), read(gzip.compress(data + following))):
        assert next(item.error for item in items if isinstance(item, Framed)) == reason
        if reason != "bad_length" or len(items) == 2:
            assert isinstance(items[-1], Framed)
            assert items[-1].body == b"<p>after"


@pytest.mark.parametrize(
    ("data", "drop"),
    [
        (record(1, b"x", kind="request"), "type_request"),
        (record(1, b"x", kind="revisit"), "type_revisit"),
        (record(1, b"x", kind="a/b"), "type_unknown"),
        (record(1, b"gone", status="404 Not Found"), "status_404"),
        (record(1, b""), "empty_body"),
        (record(1, b"a{}").replace(b"text/html", b"text/css "), "content_type"),
        (record(1, b"x").replace(b"application/http; msgtype=response", b"text/dns" + b" " * 26), "content_type"),
        (record(1, b"", kind="resource"), "empty_body"),
    ],
)
def test_reasons(data: bytes, drop: str) -> None:
    assert only(data, compressed=False).drop == drop


def test_fields_of_a_record() -> None:
    item = only(record(7, b"<p>x").replace(b"http://host-7.example/", b"<http://h.example/>   "), compressed=False)
    assert (item.record_id, item.url, item.date) == ("<urn:7>", "http://h.example/", "2026-01-01T00:00:00Z")
    assert (item.status, item.content_type, item.charset) == (200, "text/html", "utf-8")


# ---------------------------------------------------------------------------------------------------------
# Real files


@pytest.mark.parametrize("name", ["part-00.warc.gz", "uncompressed-small.warc"])
def test_undamaged_files_hold_what_warcio_finds(shared: Path, name: str) -> None:
    path = shared / "warc" / name
    size = path.stat().st_size
    with path.open("rb") as file:
        ours: Counter[str] = Counter()
        position = 0
        for item in read_warc(file, size=size, compressed=name.endswith(".gz"), max_record_bytes=64 << 20):
            assert isinstance(item, Framed)
            assert item.offset == position
            assert not item.error
            position = item.next_offset
            ours[f"{item.record_type} {item.record_id}"] += 1
    assert position == size
    with path.open("rb") as file:
        theirs = Counter(
            f"{found.rec_type} {found.rec_headers.get_header('WARC-Record-ID')}"
            for found in ArchiveIterator(file, no_record_parse=True)
        )
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "reason", "num_lost", "num_records"),
    [("truncated.warc.gz", "truncated", 1108, 245), ("corrupt-middle.warc.gz", "damaged", 13957, 122)],
)
def test_damaged_files_lose_one_member(shared: Path, name: str, reason: str, num_lost: int, num_records: int) -> None:
    data = (shared / "warc" / name).read_bytes()
    items = read(data, limit=64 << 20)
    assert_tiles(items, len(data))
    assert [item.reason for item in items if isinstance(item, Lost)] == [reason]
    assert lost(items) == num_lost
    assert sum(isinstance(item, Framed) for item in items) == num_records
    # Independently: every member but the lost one, found by its magic and its checksum.
    sound = 0
    at = data.find(b"\x1f\x8b\x08")
    while at >= 0:
        member = zlib.decompressobj(31)
        try:
            member.decompress(data[at:])
        except zlib.error:
            pass
        else:
            sound += member.eof
        at = data.find(b"\x1f\x8b\x08", len(data) - len(member.unused_data) if member.eof else at + 1)
    assert sound >= num_records  # a page's own gzip body inside the lost member may count
    assert sound <= num_records + 1
