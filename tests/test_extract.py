"""Charsets and text extraction, on the truth that comes with the crawl files and on made pages."""

import codecs
import contextlib
import hashlib
import io
import random
import re
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import DropRecord, InputError
from pipelines.reading.charset import codec, decode, meta_label
from pipelines.reading.cleaning import ROOM_BYTES, cleaned
from pipelines.reading.depth import MAX_DEPTH, depth
from pipelines.reading.documents import read_parts
from pipelines.reading.extract import page_text
from pipelines.reading.framed import Framed
from pipelines.reading.precise import installed
from pipelines.reading.scan import seen, utf8_counts
from pipelines.reading.warc import read_warc
from pipelines.settings import Ingest

GREEK = "Αυτό είναι ένα κείμενο"
KOREAN = "이것은 한국어 텍스트입니다"


@pytest.mark.parametrize(
    ("body", "declared", "text", "charset"),
    [
        (codecs.BOM_UTF8 + b"x\xc3\xa9", "iso-8859-1", "xé", "utf-8"),
        ("é€".encode("utf-16"), "utf-8", "é€", "utf-16-le"),
        (codecs.BOM_UTF16_BE + "é".encode("utf-16-be"), "", "é", "utf-16-be"),
        (("<p>no mark " * 9).encode("utf-16-be"), "utf-8", "<p>no mark " * 9, "utf-16-be"),
        (GREEK.encode("iso-8859-7"), "iso-8859-7", GREEK, "iso8859-7"),
        (KOREAN.encode("cp949"), "euc-kr", KOREAN, "cp949"),
        (b"\x93quoted\x94", "iso-8859-1", "“quoted”", "cp1252"),
        ("é".encode(), "iso-8859-1", "é", "utf-8"),
        (b'<meta charset="koi8-r">' + "да".encode("koi8-r"), "utf-8", '<meta charset="koi8-r">да', "koi8-r"),
        (b'<meta charset="koi8-r">\xe9', "windows-1252", '<meta charset="koi8-r">é', "cp1252"),
        ("日本".encode("iso2022_jp"), "iso-2022-jp", "日本", "iso2022_jp"),
        (b"plain", "no-such-charset", "plain", "utf-8"),
        (b"", "", "", "utf-8"),
    ],
)
def test_order_of_trust(body: bytes, declared: str, text: str, charset: str) -> None:
    decoded = decode(body, declared)
    assert (decoded.text, decoded.charset, decoded.num_replaced) == (text, charset, 0)


def test_undeclared_legacy_text_is_detected() -> None:
    text = "Это довольно длинный русский текст, чтобы его кодировку можно было узнать по частотам букв."
    assert decode(text.encode("cp1251")).text == text


def test_a_few_bad_bytes_in_utf8_are_replaced_and_counted_not_read_as_latin() -> None:
    body = (GREEK * 5).encode() + b"\xff" + GREEK.encode()
    decoded = decode(body, "utf-8")
    assert (decoded.charset, decoded.num_replaced) == ("utf-8", 1)
    assert decoded.text.replace("\ufffd", "") == GREEK * 6
    own = ("\ufffd" + GREEK).encode() + b"\xff"
    assert decode(own, "utf-8").num_replaced == 1


@pytest.mark.parametrize(("charset", "label"), [("utf-8", ""), ("cp949", "euc-kr"), ("gb18030", "gb2312")])
def test_a_character_cut_off_at_the_end_does_not_change_the_charset(charset: str, label: str) -> None:
    text = "中文字符" if charset == "gb18030" else KOREAN.strip()
    decoded = decode(text.encode(charset)[:-1], label)
    assert decoded.text == text[:-1] + "\ufffd"
    assert decoded.num_replaced == 1


@given(st.binary(max_size=300), st.sampled_from(["", "utf-8", "euc-jp", "utf-16", "iso-8859-1", "hz-gb-2312"]))
def test_any_bytes_decode_to_valid_text_or_are_no_text(body: bytes, declared: str) -> None:
    with contextlib.suppress(DropRecord):
        decoded = decode(body, declared)
        decoded.text.encode()
        assert decoded.num_replaced >= 0


@given(st.lists(st.sampled_from([*"a€é\u0800\uffff\ufffd\U00010000\U0010ffff"]) | st.binary(max_size=3), max_size=40))
def test_bad_utf8_is_counted_as_python_replaces_it(pieces: list[str | bytes]) -> None:
    body = b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    for cut in range(min(len(body), 4) + 1):
        part = body[: len(body) - cut]
        text = part.decode("utf-8", "replace")
        num_wide = sum(char > "\x7f" for char in part.decode("utf-8", "ignore"))
        assert utf8_counts(part) == (num_wide, text.count("\ufffd") - part.count("\ufffd".encode()))


def test_labels_mean_what_browsers_mean() -> None:
    expected = {
        "ISO-8859-1": "cp1252",
        "us-ascii": "cp1252",
        "gb2312": "gb18030",
        "ks_c_5601-1987": "cp949",
        "x-sjis": "cp932",
        "tis-620": "cp874",
        "iso-8859-9": "cp1254",
        "rot13": "",
        "": "",
    }
    assert {label: codec(label) for label in expected} == expected


@pytest.mark.parametrize(
    ("page", "label"),
    [
        (b'<meta http-equiv=Content-Type content="text/html; charset=koi8-r">', "koi8-r"),
        (b"<META CHARSET = 'Big5' >", "Big5"),
        (b'<?xml version="1.0" encoding="iso-8859-2"?>', "iso-8859-2"),
        (b'<meta charset="utf-16">', "utf-8"),
        (b"<p>charset=koi8-r", ""),
    ],
)
def test_the_page_s_own_label(page: bytes, label: str) -> None:
    assert meta_label(page) == label


@pytest.mark.parametrize(
    "name", ["uncompressed-small.warc", "corrupt-middle.warc.gz", "truncated.warc.gz", "part-01.warc.gz"]
)
def test_pages_decode_to_the_declared_truth(shared: Path, name: str) -> None:
    labels = pl.read_parquet(shared / "warc/labels.parquet").filter(
        (pl.col("warc") == name) & (pl.col("text_sha1") != "")
    )
    truth = {row["record_id"]: row for row in labels.to_dicts()}
    path = shared / "warc" / name
    right: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    with path.open("rb") as file:
        for item in read_warc(
            file, size=path.stat().st_size, compressed=name.endswith("gz"), max_record_bytes=64 << 20
        ):
            row = truth.get(item.record_id) if isinstance(item, Framed) else None
            if row is None:
                continue
            assert isinstance(item, Framed)
            assert not item.drop
            assert not item.error
            text = decode(item.body, item.charset).text
            seen[row["kind"]] += 1
            right[row["kind"]] += hashlib.sha1(text.encode()).hexdigest() == row["text_sha1"]
    assert seen.total() >= 40
    for kind, num in seen.items():
        # The rest keep their byte order mark in the truth, or are windows-1252 that calls itself iso-8859-1.
        assert right[kind] >= 0.99 * num, kind


# ---------------------------------------------------------------------------------------------------------
# Text


HTML = b"""<html><head><title>T</title><style>p{}</style></head><body><nav><a href=x>Menu</a></nav>
<h1>Head</h1><p>One   wrapped
paragraph.</p><p>Two &amp; &#x1; &#xD800;</p><ul><li>item</ul><script>x()</script><footer>Foot</footer></body></html>"""


def test_main_content_keeps_paragraphs_apart() -> None:
    page = page_text(HTML, content_type="text/html", declared="utf-8")
    assert page.text.decode().startswith("Head\n\nOne wrapped paragraph.\n\nTwo &")
    assert b"Menu" not in page.text
    assert b"x()" not in page.text
    assert b"Menu" in page_text(HTML, content_type="text/html", main_content=False).text


def test_plain_text_is_not_read_as_html() -> None:
    assert page_text(b"a <b>c</b>\r\n d", content_type="text/plain").text == b"a <b>c</b>\n d"
    assert page_text(b"a < b\nand c").text == b"a < b\nand c"
    assert page_text(b"<p>a\n b</p>").text == b"a b"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "not_text"),
        (b"%PDF-1.5\n%\xe4", "not_text"),
        (bytes(100), "not_text"),
        (bytes(range(1, 32)) * 20, "not_text"),
        (b"<html><head><script>x</script></head></html>", "no_text"),
        (b"<p> &nbsp; </p>", "no_text"),
        (b"<div>" * (MAX_DEPTH + 1) + b"deep", "too_deep"),
        (b"<div>" * (MAX_DEPTH + 1) + b"deep" + b"</div>" * (MAX_DEPTH + 1), "too_deep"),
    ],
)
def test_pages_without_text(body: bytes, reason: str) -> None:
    with pytest.raises(DropRecord) as caught:
        page_text(body, content_type="text/html")
    assert caught.value.reason == reason


@pytest.mark.parametrize("element", ['<iframe src="a"/>', "<script src='x' />", "<TextArea/>"])
def test_a_self_closed_element_does_not_swallow_the_page(element: str) -> None:
    page = f"<html><body><nav>{element}</nav><main><p>All that follows is text.</p></main></body></html>"
    assert page_text(page.encode(), content_type="text/html").text == b"All that follows is text."


def test_many_elements_side_by_side_are_not_deep() -> None:
    began = time.perf_counter()
    page = page_text(b"</div><div>x</div>" * (MAX_DEPTH + 1) + b"<p>y" * 20_000, content_type="text/html")
    assert page.text.count(b"y") == 20_000
    assert time.perf_counter() - began < 10


def _plainly_deep(html: str) -> int:
    """The same count, tag by tag."""
    flat = "area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr|p|li|dt|dd|option|optgroup|tr|td|th"
    level = deepest = 0
    for slash in re.findall(rf"<(/?)(?!(?:{flat}|thead|tbody|tfoot|colgroup)\b)[a-z]", html, re.IGNORECASE):
        level = max(level - 1, 0) if slash else level + 1
        deepest = max(deepest, level)
    return deepest


def test_depth_is_counted_as_tag_by_tag() -> None:
    pieces = ["<div>", "</div>", "<P x='<'>", "</p>", "<li>", "<Table>", "</table>", "<tr>", "<link>", "<lin>", "< b",
              "</", "<", "<colgroup>", "<colgroups>", "<OptGroup/>", "<thead1>", "<td_>", "<blockquote>",
              "<b1>", "x"]  # fmt: skip
    draw = random.Random(1)
    for _ in range(500):
        html = "".join(draw.choices(pieces, k=draw.randrange(40)))
        assert depth(html.encode()) == _plainly_deep(html), html


def test_cleaned_text() -> None:
    assert cleaned("\ufeffa\x00b\x07 \r\n\r\n\r\n\r\nc\x0cd\x85e\x9f\tf") == b"ab\n\nc\nd\ne\tf"
    assert cleaned("\ud83d\ude00 \ud800x") == "\U0001f600 \ufffdx".encode()
    assert cleaned("a\n\n\n\n\nb  \n") == b"a\n\nb"


@given(st.text(st.one_of(st.characters(codec=None), st.sampled_from(" \t\n\xa0\u3000\u2009\u1680.")), max_size=200))
def test_cleaned_text_is_valid_and_stays_as_it_is(text: str) -> None:
    clean = cleaned(text).decode()
    assert not any(line != line.rstrip() for line in clean.split("\n"))
    assert "\0" not in clean
    assert "\n\n\n" not in clean
    assert cleaned(clean) == clean.encode()


def _plainly_cleaned(text: str) -> str:
    """The same by Python's own white space, line by line."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = re.sub(r"\r\n?|[\x0c\x85\u2028\u2029]", "\n", text)
    text = re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]", "", text)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()


def test_cleaned_text_is_that_of_python_s_white_space() -> None:
    every = [*map(chr, [*range(0x100), 0x1680, 0x180E, *range(0x1FFE, 0x2070), 0x2FFF, 0x3000, 0x3001, 0xFEFE, 0xFEFF])]
    every += ["\ufffd", "\ufffe", "\uffff", "\ud800", "\udc00", "\U0001f600", "\U0010ffff"]
    draw = random.Random(1)
    for one in every:
        for text in (one, f"a{one}", f"{one}a", f"a{one}\nb", f"a\n{one}\n\n{one}b", f" {one} a {one} b{one} \n"):
            assert cleaned(text) == _plainly_cleaned(text).encode(), (one, text)
    for _ in range(5000):
        text = "".join(draw.choices([*every, *" \n a" * 60], k=draw.randrange(30)))
        assert cleaned(text) == _plainly_cleaned(text).encode(), text
    long = "word  \n\n\n" * (ROOM_BYTES // 8)
    assert cleaned(long) == _plainly_cleaned(long).encode()


def test_what_occurs_in_a_page_is_what_searching_finds() -> None:
    draw = random.Random(2)
    pieces = [b"<", b"LIcen", b"licen", b"lice", b"RoBots", b"robo", b"tdm-", b"TDM", b"\rdm-", b"\xef\xbf\xbd",
              b"\xef\xbf", b"\x0b", b"\x7f", b"\t\r\n\x0c", b"a", b"\x80", b"<" * 300]  # fmt: skip
    for weights in (None, [1] * 11 + [0] * 2 + [1] * 4):
        for _ in range(2000):
            body = b"".join(draw.choices(pieces, weights, k=draw.randrange(9)))
            lower = body.lower()
            odd = re.search(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]|\xef\xbf\xbd", body) is not None
            words = (b"licen" in lower, b"robot" in lower, b"tdm-" in lower)
            assert seen(body) == (body.count(b"<"), odd, *words), body


# ---------------------------------------------------------------------------------------------------------
# Trafilatura

ARTICLE = "<html><body><nav><a href=/>Home</a></nav><article>" + 5 * (
    "<p>This sentence is long enough to be taken for the main content of the page, or so one hopes.</p>"
)


def test_trafilatura_takes_the_article_whatever_came_before() -> None:
    pytest.importorskip("trafilatura")
    wanted = page_text(ARTICLE.encode(), content_type="text/html", extractor="trafilatura")
    assert wanted.text.count(b"main content") >= 1
    assert b"Home" not in wanted.text
    for _ in range(5):  # its deduplication, were it on, would forget a text that it has seen
        assert page_text(ARTICLE.encode(), content_type="text/html", extractor="trafilatura") == wanted


def test_trafilatura_is_bounded_by_the_page_and_not_by_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trafilatura")
    monkeypatch.setattr("pipelines.reading.precise.MAX_CHARS", 1000)
    with pytest.raises(DropRecord) as caught:
        page_text(ARTICLE.encode() + b" " * 1000, content_type="text/html", extractor="trafilatura")
    assert caught.value.reason == "too_large"


def test_a_missing_trafilatura_stops_the_run_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("pipelines.reading.precise.import_module", missing)
    installed.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'sirdar\[trafilatura\]'"):
        next(read_parts(io.BytesIO, relative="a.warc", size=9, crawl="c", settings=Ingest(extractor="trafilatura")))
    installed.cache_clear()
