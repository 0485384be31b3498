"""A page's bytes to its text: charset, HTML, main content, and characters that no text should hold.

resiliparse keeps paragraphs apart by empty lines. Its time grows with the square of the nesting depth (1,000
nested elements take 0.01 s, 100,000 over a minute), so pages nested deeper than MAX_DEPTH are dropped.
"""

import re
from dataclasses import dataclass

import numpy as np
from resiliparse.extract.html2text import extract_plain_text

from pipelines.errors import DropRecord
from pipelines.reading import licences
from pipelines.reading.charset import decode

MAX_DEPTH = 10_000  # 1 s
MAX_ODD_SHARE = 0.05  # control and replacement characters in the beginning of a text
HEAD_CHARS = 4096
BINARY = re.compile(
    rb"\x89PNG\r\n|%PDF-|GIF8[79]a|\xff\xd8\xff|PK\x03\x04|\x1f\x8b\x08|RIFF....(?:WAVE|WEBP|AVI )|OggS\x00"
    rb"|ID3[\x02-\x04]|\x7fELF|MZ[\x90\x00]|\x00\x00\x01\x00|wOF[F2]|7z\xbc\xaf|Rar!\x1a|\xd0\xcf\x11\xe0|....ftyp"
    rb"|BZh[1-9]1AY|\xfd7zXZ",
    re.S,
)

_HTML = re.compile(
    r"<(?:!doctype|!--|\?xml|html|head|body|title|meta|link|div|p|table|h[1-6]|br|a|span|script)\b", re.I
)
# Tags of elements that nest: those that are empty or close by themselves cannot get deep.
_NESTING = re.compile(
    r"<(/?)(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr"
    r"|p|li|dt|dd|option|optgroup|tr|td|th|thead|tbody|tfoot|colgroup)\b)[a-z]",
    re.I,
)
# HTML has no such thing: all that follows an `<iframe/>` of XHTML is inside it, and the page is empty.
_SELF_CLOSED = re.compile(r"<(iframe|noembed|noframes|script|style|textarea|title|xmp)\b([^<>]*)/>", re.I)
_CONTROL_BYTES = bytes([*range(9), 11, *range(14, 32), 127])
_ODD_BYTES = _CONTROL_BYTES + b"\r\x0c"
_HIGH_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")
_RARE = ("\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]+")
_LINE_ENDS = re.compile(r"\r\n?|[\x0c\x85\u2028\u2029]")
_EMPTY_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Page:
    text: str
    charset: str
    num_replaced: int
    licence: str = ""  # as the page declares it


def page_text(body: bytes, *, content_type: str = "", declared: str = "", main_content: bool = True) -> Page:
    """The text of a page; `content_type` text/plain is not read as HTML, "" is judged by its beginning.

    Raises DropRecord `not_text` (binary data whatever its label), `too_deep` or `no_text`.
    """
    if BINARY.match(body):
        raise DropRecord("not_text")
    decoded = decode(body, declared)
    _must_be_text(decoded.text)
    licence = ""
    if content_type != "text/plain" and (content_type or _HTML.search(decoded.text, 0, HEAD_CHARS)):
        text, licence = _html_text(decoded.text, main_content), licences.of_page(decoded.text)
    else:
        text = clean_text(decoded.text)
    if not text:
        raise DropRecord("no_text")
    return Page(text, decoded.charset, decoded.num_replaced, licence)


def clean_text(text: str) -> str:
    """Text without control characters, trailing spaces, rows of empty lines, and lone surrogates (U+FFFD)."""
    if _has_odd_characters(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # true pairs join
        text = _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))
    text = "\n".join([line.rstrip() for line in text.split("\n")])
    if "\n\n\n" in text:
        text = _EMPTY_LINES.sub("\n\n", text)
    return text.strip()


def _has_odd_characters(text: str) -> bool:
    """Whether the full cleaning is needed; ten times faster than its patterns, and nearly always no."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # lone surrogates
        return True
    return (
        len(encoded.translate(None, _ODD_BYTES)) < len(encoded)
        or _HIGH_CONTROL.search(encoded) is not None
        or any(character in text for character in _RARE)
    )


def _html_text(html: str, main_content: bool) -> str:
    if _depth(html) > MAX_DEPTH:
        raise DropRecord("too_deep")
    text = _extracted(html, main_content)
    if not text and (mended := _SELF_CLOSED.sub(r"<\1\2></\1>", html)) != html:
        text = _extracted(mended, main_content)
    # Some full pages of documentation have no main content in the extractor's eyes (manuals of up to 350 kB in the
    # real crawl). Their whole text is judged by the quality rules instead of being lost here.
    return text or (_extracted(html, False) if main_content else "")


def _extracted(html: str, main_content: bool) -> str:
    return clean_text(
        extract_plain_text(
            html,
            preserve_formatting=True,
            main_content=main_content,
            list_bullets=True,
            alt_texts=False,
            links=False,
            form_fields=False,
            noscript=False,
        )
    )


def _must_be_text(text: str) -> None:
    head = text[:HEAD_CHARS]
    encoded = head.encode("utf-8", "surrogatepass")
    num_odd = len(encoded) - len(encoded.translate(None, _CONTROL_BYTES)) + head.count("\ufffd")
    if num_odd > MAX_ODD_SHARE * len(head):
        raise DropRecord("not_text")


def _depth(html: str) -> int:
    """How deep elements nest, at most, with unclosed ones counted; 0 where there are too few for MAX_DEPTH."""
    if len(html) <= 3 * MAX_DEPTH or html.count("<") - html.count("</") <= MAX_DEPTH:
        return 0
    steps = np.array([-1 if slash else 1 for slash in _NESTING.findall(html)], dtype=np.int32)
    levels = np.cumsum(steps)
    floor = np.minimum(np.minimum.accumulate(levels), 0)  # closing tags without an opening one
    return int((levels - floor).max(initial=0))
