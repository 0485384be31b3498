"""Files to parts: accounting, identity, sampling, resume, and the real crawl recounted with warcio."""

import gzip
import io
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import made_warc
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from warcio.archiveiterator import ArchiveIterator

from pipelines.errors import AccountingError, InputError
from pipelines.reading.documents import SUPPORTED, is_supported, read_parts
from pipelines.reading.framed import Framed
from pipelines.reading.warc import read_warc
from pipelines.records import DOCUMENTS, REJECTS, Counts, IngestedPart, document_id
from pipelines.settings import Ingest


def parts(data: bytes, relative: str, *, offset: int = 0, crawl: str = "c", **settings: Any) -> list[IngestedPart]:
    return list(
        read_parts(
            lambda: io.BytesIO(data),
            relative=relative,
            size=len(data),
            crawl=crawl,
            settings=Ingest(**settings),
            offset=offset,
        )
    )


def assert_accounts(found: list[IngestedPart], size: int, start: int = 0) -> None:
    position = start
    for part in found:
        assert part.first_offset == position
        position = part.next_offset
        assert part.bytes_read + part.bytes_lost == part.next_offset - part.first_offset
        assert part.counts.balanced()
        assert part.counts.kept == part.documents.num_rows
        assert part.documents.schema == DOCUMENTS
        assert part.rejects.schema == REJECTS
        part.documents.validate(full=True)
    assert position == size
    assert [part.end for part in found] == [False] * (len(found) - 1) + [True]


def total(found: list[IngestedPart]) -> Counts:
    counts = Counts()
    for part in found:
        counts.add(part.counts)
    return counts


def column(found: list[IngestedPart], name: str, kind: str = "documents") -> list[Any]:
    return [value for part in found for value in getattr(part, kind)[name].to_pylist()]


def line(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


def corpus(num: int = 900) -> bytes:
    return b"".join(line(id=str(i), text=f"text {i} {i**7}", url=f"http://a.example/{i}") for i in range(num))


def as_parquet(num: int = 900) -> bytes:
    sink = io.BytesIO()
    table = pa.Table.from_pylist([json.loads(row) for row in corpus(num).splitlines()])
    pq.write_table(table, sink, row_group_size=100)
    return sink.getvalue()


FILES = {
    "a.warc.gz": made_warc.crawl(60),
    "a.warc": made_warc.crawl(60, compressed=False),
    "whole.warc.gz": gzip.compress(made_warc.crawl(2000, compressed=False), mtime=0),
    "a.jsonl": corpus(),
    "a.jsonl.gz": gzip.compress(corpus(3000), mtime=0),
    "a.jsonl.zst": zstandard.compress(corpus(6000)),
    "a.parquet": as_parquet(),
}


# ---------------------------------------------------------------------------------------------------------
# Parts


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("settings", [{"part_rows": 17}, {"part_bytes": 600}])
def test_parts_are_the_same_in_one_go_and_resumed_anywhere(name: str, settings: dict[str, int]) -> None:
    data = FILES[name]
    found = parts(data, name, **settings)
    assert_accounts(found, len(data))
    assert len(found) > 2
    for at in range(0, len(found) - 1, max(1, len(found) // 4)):
        assert parts(data, name, offset=found[at].next_offset, **settings) == found[at + 1 :]
    assert parts(data, name, offset=len(data)) == []
    whole = parts(data, name)
    assert len(whole) == 1
    assert column(whole, "text") == column(found, "text")
    assert total(whole) == total(found)


def test_parts_close_at_the_first_document_over_the_size() -> None:
    found = parts(FILES["a.jsonl"], "a.jsonl", part_rows=100)
    assert [part.documents.num_rows for part in found] == [100] * 9
    found = parts(FILES["a.jsonl"], "a.jsonl", part_bytes=1000)
    for part in found[:-1]:
        sizes = part.documents["num_bytes"].to_pylist()
        assert sum(sizes[:-1]) < 1000 <= sum(sizes)


def test_rejects_close_parts_too() -> None:
    data = b"no json\n" * 100
    found = parts(data, "a.jsonl", part_rows=30)
    assert_accounts(found, len(data))
    assert [part.rejects.num_rows for part in found] == [30, 30, 30, 10]


@pytest.mark.parametrize("name", ["a.warc.gz", "a.jsonl", "a.parquet", "a.jsonl.zst"])
def test_an_empty_file_gives_one_empty_part(name: str) -> None:
    found = parts(b"", name)
    assert_accounts(found, 0)
    assert found[0].documents.num_rows == found[0].rejects.num_rows == found[0].counts.read == 0


def test_formats() -> None:
    with pytest.raises(InputError, match=r"notes\.txt: unknown format; supported are .*\.warc\.gz"):
        parts(b"x", "notes.txt")
    assert all(is_supported(f"A/B{ending.upper()}") for ending in SUPPORTED)
    assert parts(line(text="x"), "a.json")[0].counts.kept == 1


def test_a_file_that_changed_is_noticed() -> None:
    data = FILES["a.warc.gz"]
    middle = parts(data, "a.warc.gz", part_rows=9)[0].next_offset
    with pytest.raises(AccountingError, match="belong to no record"):
        parts(data, "a.warc.gz", offset=middle + 1)


# ---------------------------------------------------------------------------------------------------------
# Documents


def test_documents_of_a_warc() -> None:
    (part,) = parts(FILES["a.warc.gz"], "x/a.warc.gz")
    assert part.counts.read == 120
    assert part.counts.dropped == {"type_request": 60, "empty_body": 6}
    assert part.counts.kept == 54
    assert part.rejects["reason"].to_pylist() == ["empty_body"] * 6
    first = part.documents.slice(0, 1).to_pylist()[0]
    assert first["id"] == document_id("c", "<urn:1>")
    assert (first["source"], first["text"], first["charset"]) == ("host1.example", "Page 1 says 1.", "utf-8")
    member = FILES["a.warc.gz"][first["offset"] : first["offset"] + first["length"]]
    assert b"<urn:1>" in gzip.decompress(member)


def test_identities_of_rows() -> None:
    data = (
        line(id="a", text="x") + line(url="http://u/", date="d", text="x") + line(url="http://u/", date="d", text="y")
    )
    one, two, three = column(parts(data, "a.jsonl"), "id")
    assert column(parts(line(id="a", text="z"), "a.jsonl"), "id") != [one]  # another file's row number 1
    assert two != three
    assert column(parts(data, "elsewhere/b.jsonl"), "id") == [one, two, three]
    assert not set(column(parts(data, "a.jsonl", crawl="d"), "id")) & {one, two, three}


def test_fields_of_rows() -> None:
    data = line(text="a\0b\ud800", url="http://me@Host.example:8/p\nq", licence="MIT", source="s") + line(
        text="x", url="http://[bad/"
    )
    first, second = parts(data, "a.jsonl")[0].documents.to_pylist()
    assert (first["text"], first["url"]) == ("ab\ufffd", "http://me@Host.example:8/p q")
    assert (first["source"], first["licence"], first["num_bytes"]) == ("s", "MIT", 5)
    assert second["source"] == ""


def test_a_repeated_record_is_dropped_and_listed() -> None:
    (part,) = parts(line(id="a", text="x") + line(id="a", text="x") + line(id="a", text="z"), "a.jsonl")
    assert part.documents["text"].to_pylist() == ["x", "z"]
    assert part.counts.dropped == {"duplicate_record": 1}
    assert part.rejects["id"].to_pylist() == part.documents["id"].to_pylist()[:1]


@pytest.mark.parametrize("settings", [{}, {"part_rows": 23}, {"part_bytes": 900}, {"sample": 0.4, "part_rows": 23}])
def test_rows_by_the_column_are_documents_as_records_are(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(row) for row in corpus(400).splitlines()]
    for at, row in enumerate(rows):
        row |= {"licence": ("", "MIT", "nobody's")[at % 3], "source": ("", "s", "s\t2")[at % 7 % 3]}
        row["text"] += ("", "\r\n\n\n b \x07", " \n\n\n  é  ")[at % 5 % 3] if at != 77 else "\ud800"
    rows[90]["text"], rows[91]["url"], rows[92]["id"] = " \n", "http://a.example/\n", 1.5
    rows[200:220] = rows[100:120]  # repeated
    data = b"".join(line(**row) for row in rows)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{**row, "id": str(row["id"])} for row in rows if row is not rows[77]]), sink)
    files = {"a.jsonl": data, "a.jsonl.gz": gzip.compress(data, mtime=0), "a.parquet": sink.getvalue()}
    by_column = {name: parts(file, name, **settings) for name, file in files.items()}
    monkeypatch.setattr("pipelines.reading.batches.LEAST_PLAIN", 2)
    assert {name: parts(file, name, **settings) for name, file in files.items()} == by_column


def test_what_gets_a_row_in_the_rejects() -> None:
    data = line(text="x") + b"\n" + b"no json\n" + line(text=" ") + line(content="x")
    (part,) = parts(data, "a.jsonl")
    assert part.counts.dropped == {"empty_line": 1, "no_text": 1}
    assert part.counts.errors == {"bad_json": 1, "no_text_field": 1}
    assert part.rejects["reason"].to_pylist() == ["bad_json", "no_text", "no_text_field"]


def test_lost_bytes_are_counted_and_named_but_are_no_records() -> None:
    data = bytearray(FILES["a.warc.gz"])
    (whole,) = parts(bytes(data), "a.warc.gz")
    victim = whole.documents.slice(10, 1).to_pylist()[0]
    data[victim["offset"] + 30] ^= 255
    (part,) = found = parts(bytes(data), "a.warc.gz")
    assert_accounts(found, len(data))
    assert part.bytes_lost == victim["length"]
    assert part.counts.read == whole.counts.read - 1
    row = [row for row in part.rejects.to_pylist() if row["reason"].startswith("lost_")]
    assert [(r["reason"], r["offset"], r["length"]) for r in row] == [
        ("lost_damaged", victim["offset"], victim["length"])
    ]
    assert set(whole.documents["id"].to_pylist()) - set(part.documents["id"].to_pylist()) == {victim["id"]}


def test_an_exception_costs_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    import pipelines.reading.documents as module

    original = module.page_text

    def fails_on_five(body: bytes, **kwargs: Any) -> Any:
        if b"Page 5 " in body:
            raise RuntimeError("provoked")
        return original(body, **kwargs)

    monkeypatch.setattr(module, "page_text", fails_on_five)
    (part,) = parts(FILES["a.warc.gz"], "a.warc.gz")
    assert part.counts.errors == {"exception_RuntimeError": 1}
    assert part.counts.kept == 53
    assert "exception_RuntimeError" in part.rejects["reason"].to_pylist()


def test_samples_are_nested_and_depend_on_ids_alone() -> None:
    whole = set(column(parts(FILES["a.jsonl"], "a.jsonl"), "id"))
    tenth = parts(FILES["a.jsonl"], "a.jsonl", sample=0.1)
    half = parts(FILES["a.parquet"], "other.parquet", sample=0.5)
    assert set(column(tenth, "id")) < set(column(half, "id")) < whole
    assert 50 < len(column(tenth, "id")) < 140
    assert total(tenth).dropped == {"not_sampled": 900 - total(tenth).kept}
    assert tenth[0].rejects.num_rows == 0


# ---------------------------------------------------------------------------------------------------------
# Real crawls


@pytest.fixture(scope="module")
def crawl(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first members of part-00: 1,500 records or more, cut at a member's end that warcio reports."""
    source = shared / "warc/part-00.warc.gz"
    with source.open("rb") as file:
        records = ArchiveIterator(file, no_record_parse=True)
        for _ in itertools.islice(records, 1500):
            records.read_to_end()
        end = records.offset
        file.seek(0)
        path = tmp_path_factory.mktemp("crawl") / "first.warc.gz"
        path.write_bytes(file.read(end))
    return path


def test_counts_agree_with_the_records_recounted_by_warcio(crawl: Path, shared: Path) -> None:
    found = parts(crawl.read_bytes(), "first.warc.gz")
    assert_accounts(found, crawl.stat().st_size)
    counts = total(found)
    expected: Counter[str] = Counter()
    candidates = set()
    with crawl.open("rb") as file:
        for record in ArchiveIterator(file):
            status = record.http_headers.get_statuscode() if record.http_headers else "200"
            type_ = (record.http_headers or record.rec_headers).get_header("Content-Type") or ""
            if record.rec_type not in ("response", "resource", "conversion"):
                expected[f"type_{record.rec_type}"] += 1
            elif not status.startswith("2"):
                expected[f"status_{status}"] += 1
            elif not (body := record.content_stream().read()):
                expected["empty_body"] += 1
            elif type_.split(";")[0] not in ("", "text/html", "text/plain"):
                expected["content_type"] += 1
            elif body.startswith((b"\x89PNG", b"%PDF")):
                expected["not_text"] += 1
            else:
                candidates.add(document_id("c", record.rec_headers.get_header("WARC-Record-ID")))
    assert counts.dropped["no_text"] < 0.02 * len(candidates)
    assert {**counts.dropped, "no_text": 0} == {**expected, "no_text": 0}
    assert counts.kept + counts.dropped["no_text"] == len(candidates)
    assert not counts.errors
    assert set(column(found, "id")) <= candidates
    labels = pl.read_parquet(shared / "warc/labels.parquet").filter(pl.col("warc") == "part-00.warc.gz")
    kinds = dict(zip(labels["record_id"], labels["kind"], strict=True))
    ids = {document_id("c", record_id): kind for record_id, kind in kinds.items()}
    reasons = Counter(
        (ids[row["id"]].split("+")[0], row["reason"]) for row in found[0].rejects.to_pylist() if row["id"] in ids
    )
    assert {kind for kind, reason in reasons if reason == "content_type"} <= {
        "asset_ly", "asset_csd", "asset_css", "binary_png", "binary_pdf",
    }  # fmt: skip
    assert {kind for kind, reason in reasons if reason == "not_text"} <= {"binary_said_to_be_html"}


def test_real_parts_resume_alike(shared: Path) -> None:
    for name in ("corrupt-middle.warc.gz", "uncompressed-small.warc"):
        data = (shared / "warc" / name).read_bytes()
        found = parts(data, name, part_rows=15)
        assert_accounts(found, len(data))
        for at, part in enumerate(found[:-1]):
            assert parts(data, name, offset=part.next_offset, part_rows=15) == found[at + 1 :]


@pytest.mark.parametrize(
    ("name", "num_lost", "reason"),
    [("truncated.warc.gz", 1108, "lost_truncated"), ("corrupt-middle.warc.gz", 13957, "lost_damaged")],
)
def test_damaged_files_lose_only_what_is_damaged(shared: Path, name: str, num_lost: int, reason: str) -> None:
    path = shared / "warc" / name
    found = parts(path.read_bytes(), name)
    assert_accounts(found, path.stat().st_size)
    assert sum(part.bytes_lost for part in found) == num_lost
    assert column(found, "reason", "rejects").count(reason) == 1
    labels = pl.read_parquet(shared / "warc/labels.parquet").filter(pl.col("warc") == name)
    ours = {*column(found, "id"), *column(found, "id", "rejects")}
    missing = [record for record in labels["record_id"] if document_id("c", record) not in ours]
    assert len(missing) <= 1


def test_the_huge_page_is_one_document_or_one_reject(shared: Path) -> None:
    path = shared / "warc/part-01.warc.gz"
    size = path.stat().st_size
    with path.open("rb") as file:
        items = read_warc(file, size=size, compressed=True, max_record_bytes=64 << 20)
        huge = next(item for item in items if isinstance(item, Framed) and len(item.body) > 30_000_000)
        file.seek(huge.offset)
        data = file.read(huge.next_offset - huge.offset)
    labels = pl.read_parquet(shared / "warc/labels.parquet").filter(pl.col("kind") == "huge_body")
    assert huge.record_id in labels["record_id"].to_list()
    kept = parts(data, "huge.warc.gz")
    assert column(kept, "id") == [document_id("c", huge.record_id)]
    assert len(column(kept, "text")[0]) > 1_000_000
    dropped = parts(data, "huge.warc.gz", max_record_bytes=16 << 20)
    assert total(dropped).dropped == {"too_large": 1}
    assert column(dropped, "id", "rejects") == [document_id("c", huge.record_id)]
    assert_accounts(dropped, len(data))
