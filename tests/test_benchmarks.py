"""The benchmark scripts' own counting, on inputs whose answer is known; nothing is timed."""

import gzip
import json
import mmap
import os
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "infra" / "benchmarks"


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def _record(**values: Any) -> Any:
    from crawl_records import Record

    plain = {"kind": "response", "record_id": "<a>", "status": 200, "content_type": "text/html", "charset": ""}
    return Record(**{**plain, "body": b"<p>text", **values})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "page"),
        ({"kind": "request"}, "type_request"),
        ({"status": 301}, "status_301"),
        ({"body": b""}, "empty_body"),
        ({"content_type": "image/png"}, "content_type"),
        ({"body": b"\x89PNG\r\n"}, "not_text"),
        ({"kind": "resource", "status": 0}, "page"),
    ],
)
def test_reason_of_a_record(values: dict[str, Any], expected: str) -> None:
    from crawl_records import reason

    assert reason(_record(**values)) == expected


def test_recount_tells_a_missing_record() -> None:
    from crawl_records import compared, recount

    found = [_record(), _record(record_id="<b>"), _record(), _record(kind="metadata")]
    recounted = recount(found)
    assert recounted == {"page": 2, "duplicate_record": 1, "type_metadata": 1}
    ours = {"read": 4, "kept": 1, "dropped": {"no_text": 1, "duplicate_record": 1, "type_metadata": 1}, "errors": {}}
    told = compared(recounted, ours)
    assert told["equal"]
    assert told["not_decided_from_the_record"] == {"no_text": 1}
    assert not compared(recounted, {**ours, "kept": 2})["equal"]
    assert not compared(recounted, {**ours, "errors": {"bad_http": 1}})["equal"]


def test_records_are_read_with_warcio(tmp_path: Path) -> None:
    from crawl_records import records

    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=KOI8-R\r\n\r\n<p>x"
    head = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Date: 2026-11-01T00:00:00Z\r\n"
    head += "WARC-Target-URI: http://a.example/\r\n"
    head += f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    (tmp_path / "made.warc.gz").write_bytes(gzip.compress(head.encode() + block + b"\r\n\r\n"))
    (found,) = records(tmp_path / "made.warc.gz")
    assert (found.kind, found.status, found.content_type, found.charset) == ("response", 200, "text/html", "KOI8-R")
    assert found.body == b"<p>x"


@pytest.mark.parametrize(
    ("charset", "body", "truth", "expected"),
    [
        ("utf-8", b"", "utf-8", True),
        ("utf-8", b'<meta charset="koi8-r">', "koi8-r", True),
        ("utf-8", b"<p>", "koi8-r", False),
        ("ISO-8859-1", b"", "windows-1252", True),  # as browsers read the label
        ("", b"\xff\xfe<", "utf-16", True),
    ],
)
def test_declared_anywhere(charset: str, body: bytes, truth: str, expected: bool) -> None:
    from crawl_records import declared

    assert declared(_record(charset=charset, body=body), truth) is expected


def test_shares_by_kind() -> None:
    from crawl_records import shares

    rows = [
        {"kind": "cut", "declared": True, "exact": True},
        {"kind": "cut", "declared": False, "exact": False},
        {"kind": "plain", "declared": True, "exact": True},
    ]
    told = shares(rows)
    assert (told["cut"]["share"], told["cut"]["declared_share"]) == (0.5, 1.0)
    assert (told["all"]["pages"], told["all"]["exact"]) == (3, 2)


def test_visible_characters() -> None:
    from crawl_records import visible_chars

    assert visible_chars("<head><title>no</title></head><p>a <b>b</b><script>var x;</script> c") == 3


def test_agreement_of_clusters_and_domains() -> None:
    from crawl_domains import agreement

    assert agreement([0, 0, 1, 1, 7, -1], ["a", "a", "b", "b", "-", "a"]) == 1.0
    assert agreement([0, 1, 0, 1], ["a", "a", "b", "b"]) < 0.1


@pytest.mark.parametrize("can_be_set_back", [True, False])
def test_memory_is_that_of_the_block(can_be_set_back: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import crawl_stages
    from crawl_stages import tree, watched

    if not can_be_set_back:  # as where /proc is read-only: the mark of an earlier block stays
        peak = max(crawl_stages._high_water(os.getpid()), crawl_stages._resident(os.getpid())) + (1 << 30)
        monkeypatch.setattr(crawl_stages, "_high_water", lambda pid: peak)
    with watched() as small:
        pass
    with watched() as large:
        held = mmap.mmap(-1, 96 << 20)  # from the kernel: the heap may give again what earlier tests freed
        for _ in range(96):
            held.write(os.urandom(1 << 20))
    assert os.getpid() in tree(os.getpid())
    assert large.largest - small.largest > 40 << 20
    held.close()


def test_plain_training_learns_and_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import plain_training
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipelines.tokens import train_bpe

    texts = [f"the value of item {number} is {number * 7 % 10} and no other" for number in range(300)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "train-00000.parquet")
    (tmp_path / "tokenizer.json").write_bytes(train_bpe(texts, vocabulary=300))
    lines = [json.dumps({"text": text, "group": "g"}) for text in texts[:40]]
    (tmp_path / "final.jsonl").write_text("\n".join(lines))
    words = f"plain --shards {tmp_path} --tokenizer {tmp_path}/tokenizer.json --evaluation {tmp_path}/final.jsonl"
    words += " --seeds 1 2 1 --width 16 --hidden 32 --heads 2 --layers 1 --sequence 32 --tokens 3600 --windows 9"
    monkeypatch.setattr(sys, "argv", words.split())
    plain_training.main()
    told = json.loads(capsys.readouterr().out)
    first, second, again = told["losses"]
    assert first == again != second
    assert first < 5.0  # 5.7 is what a model that knows nothing of 300 entries gives
    monkeypatch.setattr(sys, "argv", words.replace("3600", "36000").split())
    with pytest.raises(SystemExit):  # fewer tokens than the others would be trained on
        plain_training.main()
