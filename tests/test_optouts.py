"""What owners say about machines: headers and pages to columns, and columns to reasons."""

import io

import made_warc
import pyarrow as pa
import pytest

from pipelines.reading.documents import read_parts
from pipelines.reading.markup import Markup
from pipelines.reading.optouts import NOTHING, Said, of_headers, of_page, opt_out_reasons
from pipelines.settings import Ingest


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, NOTHING),
        ({"x-robots-tag": "NoAI, noimageai , noindex"}, Said("noai,noimageai,noindex")),
        ({"x-robots-tag": "index, follow, all, whatever"}, NOTHING),
        ({"x-robots-tag": "googlebot: noindex, nofollow"}, Said("googlebot:nofollow,googlebot:noindex")),
        ({"x-robots-tag": "max-snippet:0, unavailable_after: 25 Jun 2030 15:00:00 PST, noarchive"},
         Said("max-snippet:0,noarchive")),
        ({"content-usage": "search=y, Train-AI=n"}, Said("train-ai=n")),
        ({"tdm-reservation": " 1 ", "tdm-policy": "https://a.example/policy.json"},
         Said("", "1", "https://a.example/policy.json")),
        ({"tdm-reservation": "yes", "tdm-policy": "javascript:alert(1)"}, NOTHING),
        ({"x-robots-tag": "noai," * 100_000}, Said("noai")),
    ],
)  # fmt: skip
def test_headers(headers: dict[str, str], said: Said) -> None:
    assert of_headers(headers) == said


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ('<head><meta name="robots" content="noindex, noai">', Said("noai,noindex")),
        ("<head><META CONTENT='NOARCHIVE' NAME=Robots />", Said("noarchive")),
        ('<head><!-- <meta name="robots" content="noai"> --></head>', NOTHING),
        ('<head></head><body><meta name="robots" content="noai">', NOTHING),  # of a page quoted in this one
        ('<head><meta name="description" content="robots, noai">', NOTHING),
        ('<head><meta name="tdm-reservation" content="1"><meta name="tdm-policy" content="/tdm.json">',
         Said("", "1", "/tdm.json")),
        ('<head><meta name="tdm-reservation" content="0">', Said("", "0")),
    ],
)  # fmt: skip
def test_pages(page: str, said: Said) -> None:
    assert of_page(Markup(page.encode())) == said


def test_header_and_page_add_up_and_the_header_reserves_first() -> None:
    page = Markup(b'<head><meta name="robots" content="noai"><meta name="tdm-reservation" content="0">')
    assert of_page(page, Said("noindex", "1", "/p")) == Said("noai,noindex", "1", "/p")


def test_columns_of_a_crawl() -> None:
    http = b"X-Robots-Tag: noarchive\r\nX-Robots-Tag: otherbot: noai\r\nTDM-Reservation: 1\r\n"
    body = b"<html><head><meta name=robots content=noai></head><body><p>Some text that stays."
    data = made_warc.record(1, body, http=http) + made_warc.record(2, b"<html><body><p>Other text.")
    (part,) = read_parts(lambda: io.BytesIO(data), relative="a.warc", size=len(data), crawl="c", settings=Ingest())
    assert part.documents.select(["robots", "tdm", "tdm_policy"]).to_pylist() == [
        {"robots": "noai,noarchive,otherbot:noai", "tdm": "1", "tdm_policy": ""},
        {"robots": "", "tdm": "", "tdm_policy": ""},
    ]


def test_reasons() -> None:
    robots = ["", "noindex,noarchive", "noai", "noimageai", "ccbot:noai", "noindex,train-ai=n", "noai", "train-ai=y"]
    tdm = ["", "0", "0", "", "", "", "1", ""]
    wanted = [None, None, "opt_out_noai", None, None, "opt_out_train_ai", "opt_out_tdm", None]
    assert opt_out_reasons(pa.array(robots), pa.array(tdm)).to_pylist() == wanted
    assert opt_out_reasons(pa.chunked_array([robots[:3], robots[3:]]), pa.chunked_array([tdm])).to_pylist() == wanted
    assert opt_out_reasons(pa.array([], pa.string()), pa.array([], pa.string())).to_pylist() == []
