"""A crawl file read again without this project's reader: what its records are, and how its pages decode.

warcio reads the records, a few lines here say what must become of each. Only what the record itself shows is
decided; whether a page has main text is not, so those records are listed beside the comparison.
"""

import codecs
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

WITH_PAGES = {"response", "resource", "conversion"}
PAGE_TYPES = {"text/html", "application/xhtml+xml", "text/plain", ""}
BINARY = (b"\x89PNG", b"%PDF")
UNDECIDED = ("no_text", "too_deep")  # what is left of a page shows only after extraction
# Names that mean more than Python's codec of that name: how browsers read them (WHATWG).
WIDER = {"latin_1": "cp1252", "iso8859-1": "cp1252", "ascii": "cp1252", "euc_kr": "cp949", "gb2312": "gb18030"}
WIDER |= {"gbk": "gb18030", "iso8859-9": "cp1254"}
VISIBLE_CHARS = 200

_LABEL = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.I)


@dataclass(frozen=True, slots=True)
class Record:
    kind: str
    record_id: str
    status: int
    content_type: str
    charset: str  # of the transport
    body: bytes  # without chunks and compression


def records(path: Path) -> Iterator[Record]:
    """Every record of a WARC file, as warcio reads it."""
    from warcio.archiveiterator import ArchiveIterator

    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            http = record.http_headers if record.rec_type in WITH_PAGES else None  # requests have some too
            said = (http.get_header("Content-Type") if http else record.rec_headers.get_header("Content-Type")) or ""
            found = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", said, re.I)
            yield Record(
                kind=record.rec_type,
                record_id=record.rec_headers.get_header("WARC-Record-ID") or "",
                status=int(http.get_statuscode()) if http and http.get_statuscode() else 0,
                content_type=said.partition(";")[0].strip().lower(),
                charset=found[1] if found else "",
                body=record.content_stream().read() if record.rec_type in WITH_PAGES else b"",
            )


def reason(record: Record) -> str:
    """What must become of a record, from nothing but itself; `page` for those that go on to extraction."""
    if record.kind not in WITH_PAGES:
        return f"type_{record.kind}"
    if record.kind == "response" and not 200 <= record.status < 300:
        return f"status_{record.status}"
    if not record.body:
        return "empty_body"
    if record.content_type not in PAGE_TYPES:
        return "content_type"
    return "not_text" if record.body.startswith(BINARY) else "page"


def recount(found: Iterable[Record]) -> Counter[str]:
    """Records by reason; a page whose record id came before is a `duplicate_record`."""
    told: Counter[str] = Counter()
    seen: set[str] = set()
    for record in found:
        why = reason(record)
        if why == "page" and record.record_id in seen:
            why = "duplicate_record"
        seen.add(record.record_id)
        told[why] += 1
    return told


def compared(recounted: Mapping[str, int], counts: Mapping[str, Any]) -> dict[str, Any]:
    """The recount beside the stage's counts; `page` stands against what was kept or dropped undecided."""
    ours = {**counts["dropped"], **counts["errors"]}
    undecided = {why: ours.pop(why) for why in UNDECIDED if why in ours}
    ours["page"] = counts["kept"] + sum(undecided.values())
    both = {why: {"recounted": recounted.get(why, 0), "ours": ours.get(why, 0)} for why in sorted({*recounted, *ours})}
    return {
        "records": {"recounted": sum(recounted.values()), "ours": counts["read"]},
        "by_reason": both,
        "equal": all(pair["recounted"] == pair["ours"] for pair in both.values()),
        "not_decided_from_the_record": undecided,
    }


# ---------------------------------------------------------------------------------------------------------
# Decoding


def python_name(label: str) -> str:
    """The codec that browsers use for a label; "" for an unknown one."""
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return ""
    return WIDER.get(name, WIDER.get(name.replace("-", "_"), name))


def declared(record: Record, truth: str) -> bool:
    """Whether header, byte order mark, XML declaration or meta element names the charset that the page is in."""
    labels = [record.charset, *(found.decode() for found in _LABEL.findall(record.body[:8192]))]
    marked = record.body.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return marked or python_name(truth) in {python_name(label) for label in labels if label}


def decoding(found: Iterable[Record], labels: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per page whose text is known: kind, whether it is declared, and whether it decodes exactly."""
    from pipelines.reading.charset import decode

    rows = []
    for record in found:
        label = labels.get(record.record_id)
        if label is None or not label["text_sha1"] or reason(record) != "page":
            continue
        decoded = decode(record.body, record.charset)
        digest = hashlib.sha1(decoded.text.encode("utf-8", "surrogatepass")).hexdigest()
        rows.append(
            {
                "record_id": record.record_id,
                "kind": label["kind"],
                "truth": label["encoding"],
                "charset": decoded.charset,
                "num_replaced": decoded.num_replaced,
                "declared": declared(record, label["encoding"]),
                "exact": decoded.num_replaced == 0 and digest == label["text_sha1"],
                "why": _difference(decoded.text, record.body, label["encoding"]),
            }
        )
    return rows


def shares(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Pages and the share that decodes exactly, by kind and in all, for all pages and for declared ones."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["kind"]].append(row)
        groups["all"].append(row)
    return {
        kind: {**_share(mine, ""), **_share([row for row in mine if row["declared"]], "declared_")}
        for kind, mine in sorted(groups.items())
    }


def misread(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How often a page of one charset was read as another, or not exactly, and what differs."""
    wrong = Counter(
        f"{row['kind']}: {row['truth']} read as {row['charset']}, {row['why']}" for row in rows if not row["exact"]
    )
    return dict(wrong.most_common())


def _difference(text: str, body: bytes, truth: str) -> str:
    """What keeps a decoded text from being the one that Python's codec of the true charset gives."""
    strict = body.decode(truth, "replace")
    if text == strict.removeprefix("\ufeff"):
        return "the byte order mark alone differs"
    if any("\x80" <= character <= "\x9f" for character in strict):
        return "bytes 80 to 9F, which browsers read as windows-1252"
    return "other characters"


def _share(rows: list[Mapping[str, Any]], prefix: str) -> dict[str, Any]:
    exact = sum(row["exact"] for row in rows)
    share = round(exact / len(rows), 5) if rows else None
    return {f"{prefix}pages": len(rows), f"{prefix}exact": exact, f"{prefix}share": share}


# ---------------------------------------------------------------------------------------------------------
# Pages that came to nothing


class _Visible(HTMLParser):
    """Text outside scripts, styles and the head, read by the standard library's parser."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = 0
        self.chars = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("script", "style", "head")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style", "head") and self.hidden > 0

    def handle_data(self, data: str) -> None:
        self.chars += 0 if self.hidden else len("".join(data.split()))


def visible_chars(html: str) -> int:
    """Characters that a browser without any idea of a main content would show, spaces apart."""
    parser = _Visible()
    parser.feed(html)
    return parser.chars


def without_text(found: Iterable[Record], dropped: set[str]) -> dict[str, Any]:
    """Of the records that were dropped as `no_text`: how many show a reader some text, and how much."""
    sizes = [visible_chars(one.body.decode("utf-8", "replace")) for one in found if one.record_id in dropped]
    with_text = sorted((size for size in sizes if size >= VISIBLE_CHARS), reverse=True)
    return {
        "dropped": len(sizes),
        f"with_{VISIBLE_CHARS}_visible_characters": len(with_text),
        "their_characters": sum(with_text),
        "largest": with_text[:5],
    }
