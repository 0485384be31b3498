"""The licence that a page declares for itself, and what it is called: an id as SPDX has them, and a tier.

Where it may stand, most trusted first; the first place that names one counts, and within it the first on the page:

1. the record's own field, or the `Link` header with rel=license (RFC 8288, RFC 4946);
2. <link>, <a> or <area> with rel=license;
3. metadata: <meta> of Dublin Core (dcterms.license, dc.rights, ...), RDFa and microdata (cc:license, itemprop), and
   JSON-LD `license` of a node that is a page or a text, not an image in it; a licence that is known, no other text;
4. a statement: "this page is licensed under", "under the terms of", ... and then the licence's name or a link to its
   deed. All statements of a page must agree, and one about software, fonts or pictures is none about the text.

A bare link to a licence declares nothing. Precision comes first: what is not clearly about the page gives "".
"""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from pipelines.reading.licence_ids import licence_id
from pipelines.reading.markup import Markup

MAX_CHARS = 300  # a longer address or name is no licence's
MAX_JSON_BYTES = 1 << 20
STATEMENT_BYTES = 600  # read before and after a licence's name
SENTENCE_CHARS = 300
RELATIONS = (b"link", b"a", b"area")
METADATA = frozenset(
    {"dcterms.license", "dcterms.rights", "dc.license", "dc.rights", "dcterms:license", "dc.rights.license", "license"}
    | {"cc:license", "schema:license", "xhv:license", "dc.terms.license", "dcterms.rights.license", "rights", "licence"}
)
PAGES = frozenset(
    {"article", "blogposting", "book", "chapter", "creativework", "dataset", "learningresource", "newsarticle"}
    | {"report", "scholarlyarticle", "techarticle", "webpage", "website", "course", "howto", "recipe", "review"}
)

_LINK = re.compile(r"<([^>]*)>([^<]*)")
_RELATION = re.compile(r"""\brel\s*=\s*["']?[^"'>;]*\blicense\b""", re.IGNORECASE)
_IN_RELATION = re.compile(rb"""\brel\s*=\s*["']?[^"'<>]*$""")
_IN_METADATA = re.compile(rb"""\b(?:name|property|itemprop)\s*=\s*["']?[a-z:.]*$""")
_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyz:."
_BLANKS_AND_QUOTES = b" \t\n\r\x0b\x0c\"'"
_NAMED = re.compile(
    rb"creative ?commons(?:\.org/(?:licenses|publicdomain)/)?|cc[ -]by\b|cc0\b|(?:gnu )?free documentation licen|gfdl"
    rb"|open (?:government|publication) licen|gnu general public licen|apache licen|mit licen"
)
_TAG = re.compile(r"<[^<>]*>")
_TORN = re.compile(r"^[^<]*>|<[^>]*$")
_BLOCK = re.compile(
    r"</?(?:p|div|li|ul|ol|td|tr|table|h[1-6]|br|hr|section|footer|article|dd|dt|blockquote)\b[^<>]*>", re.I
)
_SENTENCE = re.compile(r"[.!?:;]\s+(?=[A-Z\"'(])|\x00")
_GRANT = re.compile(
    r"\b(?:licen[sc]ed|available|released|published|distributed|shared|provided|offered|covered|redistribute|modify"
    r"|copied|reused|dedicated|placed)\b[^<>]{0,60}?\b(?:under|to|in|with|by)\b[^.;!?]{0,60}$"
    r"|\bunder the terms of\b[^.;!?]{0,40}$"
    r"|\b(?:is|are) (?:in|a|under)\b[^.;!?]{0,30}$",
    re.I,
)
_TEXT = re.compile(
    r"\b(?:this (?:work|page|site|wiki|blog|post)|documents?|documentation|web ?pages?|web ?sites?|texts?|contents?"
    r"|articles?|manual|books?|guide|handbook|material|publications?|tutorial|chapter|wiki|faq|howto|lesson|course|essays?"
    r"|(?:the|all|these) pages)\b",
    re.I,
)
_ELSEWHERE = re.compile(
    r"\b(?:software|programs?|programmes?|library|libraries|packages?|code|scripts?|plugins?|themes?|templates?|icons?"
    r"|fonts?|images?|photos?|photographs?|pictures?|logos?|music|videos?|audio|artwork|databases?|binar(?:y|ies)"
    r"|kernel|compiler|applications?|apps?|modules?|drivers?|screenshots?|not|if|may be|can be|could|would|should"
    r"|some|other|another|many|unlike|example)\b",
    re.I,
)


def of_link_header(value: str) -> str:
    """The address in a `Link` header that says rel=license, or ""."""
    for address, parameters in _LINK.findall(value) if value else ():
        if _RELATION.search(parameters):
            return _bounded(address)
    return ""


def of_page(page: Markup) -> str:
    """The licence's address or name as the page has it, or ""; see above for what counts."""
    described = ""
    stated: dict[str, str] = {}
    read_json, read_to = False, 0
    for at in page.places(b"licen"):
        before = page.lower[max(0, at - 200) : at]
        if b"rel" in before and _IN_RELATION.search(before):
            if address := _related(page, at):
                return address
        elif b"rights" in before or (_ends_in_attribute(before) and _IN_METADATA.search(before)):
            described = described or _described(page, at)
        elif before.endswith(b'"') and not read_json and page.lower.startswith(b'license"', at):
            described, read_json = described or next(_in_json(page), ""), True
        granted = b"under" in before or page.lower.find(b"under", at, at + 40) >= 0
        if granted and (named := _NAMED.search(page.lower, max(read_to, at - 80), at + 120)):
            read_to = named.end()
            said = _statement(
                page.text(named.start() - STATEMENT_BYTES, named.start()),
                page.text(named.start(), named.start() + STATEMENT_BYTES),
            )
            if said and not page.is_hidden(named.start()):
                stated.setdefault(licence_id(said), said)
    longest = max(stated, key=len, default="")  # CC-BY-SA-4.0 says more than CC-BY-SA, nothing else
    agreed = all(longest.startswith(name) for name in stated)
    return described or (stated[longest] if stated and agreed else "")


# ---------------------------------------------------------------------------------------------------------
# Places


def _ends_in_attribute(before: bytes) -> bool:
    """Whether a name and what may come between it and its attribute's `=` end the bytes: sooner told than searched."""
    return before.removesuffix(b"\n").rstrip(_NAME_BYTES).rstrip(_BLANKS_AND_QUOTES).endswith(b"=")


def _related(page: Markup, at: int) -> str:
    tag = page.tag_around(at, RELATIONS)
    return _bounded(tag.get(b"href")) if tag and "license" in tag.get(b"rel").lower().split() else ""


def _described(page: Markup, at: int) -> str:
    tag = page.tag_around(at)
    if tag is None or METADATA.isdisjoint(tag.get(key).lower() for key in (b"name", b"property", b"itemprop")):
        return ""
    value = _bounded(tag.get(b"content") or tag.get(b"href") or tag.get(b"resource"))
    return value if licence_id(value) else ""


def _in_json(page: Markup) -> Iterator[str]:
    for at in page.places(b"application/ld+json"):
        start = page.lower.find(b">", at) + 1
        end = page.lower.find(b"</script", start, start + MAX_JSON_BYTES)
        if not start or end < 0 or page.lower.find(b'"license"', start, end) < 0:
            continue
        try:
            values = json.loads(page.text(start, end))
        except (ValueError, RecursionError):
            continue
        for node in _nodes(values):
            value = node.get("license")
            value = value.get("url") or value.get("@id") if isinstance(value, dict) else value
            kinds = node.get("@type")
            about_page = any(str(kind).lower() in PAGES for kind in (kinds if isinstance(kinds, list) else [kinds]))
            if about_page and isinstance(value, str) and licence_id(value):
                yield _bounded(value)


def _nodes(values: Any) -> Iterator[dict[str, Any]]:
    """The nodes of a document itself: the top one, a list of them, or what `@graph` and `mainEntity` hold."""
    for value in values if isinstance(values, list) else [values]:
        if isinstance(value, dict):
            yield value
            for key in ("@graph", "mainEntity"):
                inner = value.get(key)
                yield from (node for node in (inner if isinstance(inner, list) else [inner]) if isinstance(node, dict))


def _statement(before: str, after: str) -> str:
    """The address or the id of the licence that `after` begins with, where `before` grants it for a text; else ""."""
    plain = _plain(before)
    sentence = _SENTENCE.split(plain)[-1][-SENTENCE_CHARS:]
    if (
        "your name" in plain.lower()
        or not _GRANT.search(sentence)
        or not _TEXT.search(sentence)
        or _ELSEWHERE.search(sentence)
    ):
        return ""
    if "creativecommons.org/" in after[:30].lower():
        address = "https://" + re.split(r"[\s\"'<>]", after, maxsplit=1)[0]
        return address if licence_id(address) else ""
    return licence_id(_plain(after)[:120].partition("\x00")[0])


def _plain(markup: str) -> str:
    """The text of a stretch of markup, with NUL where a block of text ends; tags that are cut off are left out."""
    text = _TAG.sub(" ", _BLOCK.sub("\x00", _TORN.sub(" ", markup)))
    return " ".join(html.unescape(text).replace("\xa0", " ").split())


def _bounded(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= MAX_CHARS else ""
