"""Page bytes to text: which charset, tried in the order of trust, and strict before anything is replaced.

Order: byte order mark; UTF-8 that decodes strictly, whatever was declared (legacy text beyond ASCII is not
valid UTF-8 by chance); the transport's label; the page's own (XML declaration or meta); detection. Labels
mean what browsers mean by them (WHATWG Encoding: iso-8859-1 is windows-1252, gb2312 is gb18030, euc-kr is
windows-949). A character cut off at the end of the bytes does not count against a charset. Only where none
decodes strictly, bad bytes become U+FFFD under the candidate that leaves the fewest, and are counted.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import attrgetter

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from pipelines.errors import DropRecord
from pipelines.reading.scan import utf8_counts

META_BYTES = 4096  # browsers look at 1024; pages with long comments first declare later
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Python's codecs of these names lack what browsers decode under them, or resiliparse does not know the label.
SUPERSETS = {
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso8859-11": "cp874",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "hz-gb-2312": "hz",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-user-defined": "cp1252",
}
SEVEN_BIT = {"iso2022_jp", "hz"}

_DECLARED = re.compile(
    rb"<\?xml[^>]{0,200}encoding\s*=\s*[\"']?\s*([\w.:-]+)|<meta[^>]{0,400}?charset\s*=\s*[\"']?\s*([\w.:-]+)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    charset: str  # Python's codec name
    num_replaced: int  # U+FFFD written for undecodable bytes


def decode(body: bytes, declared: str = "") -> Decoded:
    """The text of `body`, whose transport says `declared` ("" where it says nothing).

    Raises DropRecord `not_text` for bytes that are no text in any charset (NUL bytes outside UTF-16).
    """
    for mark, charset in BOMS:
        if body.startswith(mark):
            return _lenient(body[len(mark) :], charset)
    if (wide := _utf16_without_mark(body)) is not None:
        return _lenient(body, wide)
    if body.isascii():
        return _ascii(body, declared)
    if utf8 := _utf8(body):
        return utf8
    labels = _labels(body, declared)
    if found := _first_strict(body, labels):
        return found
    detected = dict.fromkeys(_detected(body))
    replaced = map(partial(_lenient, body), labels | detected)
    return _first_strict(body, detected) or min(replaced, key=attrgetter("num_replaced"))


@lru_cache(maxsize=1024)
def codec(label: str) -> str:
    """Python's codec for a declared label as browsers understand it; "" for an unknown one."""
    label = label.strip().lower()
    if not label:
        return ""
    mapped = SUPERSETS.get(label) or map_encoding_to_html5(label, fallback_utf8=False) or ""
    return SUPERSETS.get(mapped, mapped)


def meta_label(body: bytes) -> str:
    """The charset that the page itself declares near its beginning; "" where it declares none."""
    found = _DECLARED.search(body, 0, META_BYTES)
    if not found:
        return ""
    label = (found[1] or found[2]).decode("ascii", "replace")
    return "utf-8" if label.lower().startswith("utf-16") else label  # readable as ASCII, so not UTF-16


# ---------------------------------------------------------------------------------------------------------
# Candidates


def _labels(body: bytes, declared: str) -> dict[str, None]:
    return dict.fromkeys(name for name in (codec(declared), codec(meta_label(body))) if name)


def _ascii(body: bytes, declared: str) -> Decoded:
    """ASCII, which is UTF-8, unless a seven-bit charset is declared: the labels of both hold `2022` or `hz`."""
    said = declared.encode("ascii", "replace") + body[:META_BYTES].lower()
    if b"2022" in said or b"hz" in said:
        labels = _labels(body, declared)
        if not SEVEN_BIT.isdisjoint(labels):
            return _first_strict(body, labels) or _lenient(body, "utf-8")
    return Decoded(body.decode("ascii"), "utf-8", 0)


def _utf8(body: bytes) -> Decoded | None:
    """UTF-8 without a bad byte, or with a few: at least ten whole characters beyond ASCII to each of them.

    Legacy text read as UTF-8 is nearly all bad, so the two do not meet.
    """
    try:
        return Decoded(body.decode(), "utf-8", 0)
    except UnicodeDecodeError:
        num_wide, num_bad = utf8_counts(body)
    return Decoded(body.decode("utf-8", "replace"), "utf-8", num_bad) if num_wide >= 10 * num_bad else None


def _first_strict(body: bytes, names: dict[str, None]) -> Decoded | None:
    return next((decoded for name in names if (decoded := _strict(body, name))), None)


def _detected(body: bytes) -> Iterator[str]:
    if found := codec(detect_encoding(body) or ""):
        yield found
    yield "cp1252"


def _strict(body: bytes, name: str) -> Decoded | None:
    """Decoded without an error but for a character cut off at the very end."""
    decoder = codecs.getincrementaldecoder(name)("strict")
    try:
        text = decoder.decode(body)
    except (UnicodeError, ValueError):
        return None
    try:
        return Decoded(text + decoder.decode(b"", True), name, 0)
    except (UnicodeError, ValueError):
        return Decoded(text + "\ufffd", name, 1)


def _lenient(body: bytes, name: str) -> Decoded:
    strict = _strict(body, name)
    if strict:
        return strict
    text = body.decode(name, "replace")
    return Decoded(text, name, text.count("\ufffd") - _own_replacements(body, name))


def _own_replacements(body: bytes, name: str) -> int:
    """U+FFFD that the page itself holds; only the Unicode charsets can write it."""
    return body.count("\ufffd".encode(name)) if name.startswith("utf") else 0


def _utf16_without_mark(body: bytes) -> str | None:
    """utf-16-le or -be by where the NUL bytes are, None without any; raises DropRecord."""
    if body.find(0, 0, 1024) < 0:
        return None
    head = body[:1024]
    num_zeros = head.count(0)
    if num_zeros * 4 < len(head):
        return None
    odd = head[1::2].count(0)
    if len(head) >= 4 and max(odd, num_zeros - odd) > 20 * min(odd, num_zeros - odd):
        return "utf-16-le" if odd > num_zeros - odd else "utf-16-be"
    raise DropRecord("not_text")
