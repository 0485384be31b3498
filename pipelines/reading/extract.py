"""A page's bytes to its text: charset, HTML, main content, and what the page declares about itself.

resiliparse keeps paragraphs apart by empty lines; trafilatura, slower and more exact, is in
pipelines/reading/precise.py. Pages nested too deeply for an extractor are dropped (pipelines/reading/depth.py).
"""

import re
from typing import NamedTuple

from resiliparse.extract.html2text import extract_plain_text

from pipelines.errors import DropRecord
from pipelines.reading import licences, optouts
from pipelines.reading.charset import SEVEN_BIT, Decoded, decode
from pipelines.reading.cleaning import cleaned
from pipelines.reading.depth import too_deep
from pipelines.reading.markup import Markup
from pipelines.reading.optouts import NOTHING, Said
from pipelines.reading.precise import precise_text
from pipelines.reading.scan import Seen, seen

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
# HTML has no such thing: all that follows an `<iframe/>` of XHTML is inside it, and the page is empty.
_SELF_CLOSED = re.compile(r"<(iframe|noembed|noframes|script|style|textarea|title|xmp)\b([^<>]*)/>", re.I)
_CONTROL_BYTES = bytes([*range(9), 11, *range(14, 32), 127])


class Page(NamedTuple):
    text: bytes  # UTF-8
    charset: str
    num_replaced: int
    licence: str = ""  # as the page declares it
    said: Said = NOTHING  # of robots and text mining, by the headers and the page


def page_text(
    body: bytes,
    *,
    content_type: str = "",
    declared: str = "",
    said: Said = NOTHING,
    main_content: bool = True,
    extractor: str = "resiliparse",
) -> Page:
    """The text of a page; `content_type` text/plain is not read as HTML, "" is judged by its beginning.

    `declared` is the transport's charset, `said` what its headers say of robots and text mining. Raises DropRecord
    `not_text` (binary data whatever its label), `too_deep`, `too_large` or `no_text`, InputError where the extractor
    is not installed.
    """
    if BINARY.match(body):
        raise DropRecord("not_text")
    decoded, found = decode(body, declared), seen(body)
    if found.odd or decoded.num_replaced or decoded.charset != "utf-8":
        _must_be_text(decoded.text)
    licence = ""
    if content_type != "text/plain" and (content_type or _HTML.search(decoded.text, 0, HEAD_CHARS)):
        if too_deep(body, decoded, found.num_tags):
            raise DropRecord("too_deep")
        text = _html_text(decoded.text, main_content, extractor)
        if text:
            licence, said = _declared(body, decoded, found, said)
    else:
        text = cleaned(decoded.text)
    if not text:
        raise DropRecord("no_text")
    return Page(text, decoded.charset, decoded.num_replaced, licence, said)


def _declared(body: bytes, decoded: Decoded, found: Seen, said: Said) -> tuple[str, Said]:
    """The licence and the directives in the page's markup."""
    if decoded.charset.startswith("utf-16") or decoded.charset in SEVEN_BIT:  # does not agree with ASCII
        markup = Markup(decoded.text.encode("utf-8", "replace"))
        return licences.of_page(markup), optouts.of_page(markup, said)
    if not (found.licen or found.robots or found.tdm):
        return "", said
    markup = Markup(body, decoded.charset)
    licence = licences.of_page(markup) if found.licen else ""
    return licence, optouts.of_page(markup, said) if found.robots or found.tdm else said


def _html_text(html: str, main_content: bool, extractor: str) -> bytes:
    if extractor == "trafilatura":
        return cleaned(precise_text(html))
    text = _extracted(html, main_content)
    if not text and (mended := _SELF_CLOSED.sub(r"<\1\2></\1>", html)) != html:
        text = _extracted(mended, main_content)
    if text or not main_content:
        return text
    # Some full pages of documentation have no main content in the extractor's eyes (manuals of up to 350 kB in the
    # real crawl). Their whole text is judged by the quality rules instead of being lost here.
    return _extracted(html, False)


def _extracted(html: str, main_content: bool) -> bytes:
    return cleaned(
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
