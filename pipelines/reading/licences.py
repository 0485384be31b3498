"""The licence that a page declares for itself: in its HTTP header or in its HTML, as rel="license".

RFC 8288 (Link header) and RFC 4946 (the relation). The value is the licence's address, as declared; what it
allows is not judged here.
"""

import html
import re

MAX_CHARS = 300  # a longer address is no licence's

_LINK = re.compile(r"<([^>]*)>([^<]*)")
_RELATION = re.compile(r"""\brel\s*=\s*["']?[^"'>;]*\blicense\b""", re.IGNORECASE)
_TAG = re.compile(r"<(?:link|a)\b[^>]{0,2000}>", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)


def of_link_header(value: str) -> str:
    """The address in a `Link` header that says rel=license, or ""."""
    for address, parameters in _LINK.findall(value):
        if _RELATION.search(parameters):
            return _address(address)
    return ""


def of_page(page: str) -> str:
    """The address of the first <link> or <a> with rel=license, or ""."""
    if "license" not in page and "LICENSE" not in page:
        return ""
    for tag in _TAG.finditer(page):
        if "icense" in tag[0].lower() and _RELATION.search(tag[0]):
            href = _HREF.search(tag[0])
            return _address(html.unescape(next(filter(None, href.groups()), ""))) if href else ""
    return ""


def _address(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= MAX_CHARS else ""
