"""The demo's WARC files: which file a page goes to, how it travels, its record. WARC 1.1, a gzip member a record.

Everything is drawn by address, so the same pages give the same bytes.
"""

import base64
import gzip
import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

CRAWL_FILES = (3, 2)
_CRAWL_STARTS = (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 9, 7, tzinfo=UTC))
_FIRST_CRAWL = 0.75  # share of pages
_RECRAWLED = 0.03  # share of the first crawl's pages that the second has again

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Response:
    body: bytes
    content_type: str = "text/html; charset=utf-8"
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """One address, and its response made when it is packed, with draws that only the address decides."""

    kind: str
    url: str
    make: Callable[[Random], Response]


def drawn(url: str, purpose: str) -> Random:
    """Random numbers that depend on nothing else."""
    return Random(f"{purpose}\x1f{url}")


class Records:
    """Finished gzip members by file: articles are packed while the documentation is still being rendered."""

    def __init__(self, progress: Progress) -> None:
        self.pages: Counter[str] = Counter()
        self._files: dict[str, list[tuple[float, bytes]]] = {}
        self._progress = progress
        self._num_visits = 0

    def add(self, visits: list[Visit]) -> None:
        total = self._num_visits + len(visits)
        for visit in visits:
            place = drawn(visit.url, "place")
            first = place.random() < _FIRST_CRAWL
            again = place.random() < _RECRAWLED
            for crawl in (0, 1) if first and again else (0,) if first else (1,):
                name = f"crawl-{crawl + 1}/part-{place.randrange(CRAWL_FILES[crawl])}.warc.gz"
                self._files.setdefault(name, []).append((place.random(), _members(visit, crawl)))
                self.pages[f"{visit.kind}/crawl-{crawl + 1}"] += 1
            self._num_visits += 1
            if self._num_visits % 500 == 0 or self._num_visits == total:
                self._progress(self._num_visits, total)

    def files(self) -> Iterator[tuple[str, bytes]]:
        for name, members in sorted(self._files.items()):
            yield name, _warcinfo(name) + b"".join(member for _, member in sorted(members))


def _members(visit: Visit, crawl: int) -> bytes:
    """The gzip members of one visit: its response, now and then after its request."""
    response = visit.make(drawn(visit.url, "page"))  # the same bytes in either crawl
    draw = drawn(visit.url, f"crawl-{crawl}")
    seconds = draw.randrange(7 * 24 * 3600)
    date = (_CRAWL_STARTS[crawl] + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers, payload, body = _transferred(response, draw)
    head = [f"HTTP/1.1 {response.status}", f"Content-Type: {response.content_type}"]
    block = "\r\n".join([*head, *(f"{name}: {value}" for name, value in headers), "", ""]).encode() + body
    identity = f"crawl-{crawl + 1}/{visit.url}"
    named = {"WARC-Target-URI": visit.url, "WARC-Payload-Digest": _digest(payload)}
    if response.truncated:
        named["WARC-Truncated"] = "disconnect"
    record = _record("response", identity, date, named, "application/http; msgtype=response", block)
    if draw.random() >= 0.05:
        return record
    host, _, path = visit.url.partition("//")[2].partition("/")
    asked = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: sirdar-demo\r\n\r\n".encode()
    named = {"WARC-Target-URI": visit.url}
    return _record("request", identity, date, named, "application/http; msgtype=request", asked) + record


def _transferred(response: Response, draw: Random) -> tuple[list[tuple[str, str]], bytes, bytes]:
    """(headers, payload, payload as transferred)"""
    headers, body = list(response.headers), response.body
    kind = draw.random() if body else 1.0
    if kind < 0.04:
        body = gzip.compress(body, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    elif kind < 0.07:
        chunks = [body[start : start + 1000] for start in range(0, len(body), 1000)]
        chunked = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
        return [*headers, ("Transfer-Encoding", "chunked")], body, chunked
    return [*headers, ("Content-Length", str(len(body)))], body, body


def _warcinfo(name: str) -> bytes:
    crawl = int(name.partition("/")[0].removeprefix("crawl-")) - 1
    date = _CRAWL_STARTS[crawl].strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = (
        "software: sirdar demo-crawl\r\nformat: WARC File Format 1.1\r\n"
        "description: made from packaged texts; nothing was fetched from the addresses named here\r\n"
    )
    named = {"WARC-Filename": name.rpartition("/")[2]}
    return _record("warcinfo", name, date, named, "application/warc-fields", fields.encode())


def _record(kind: str, identity: str, date: str, named: Mapping[str, str], content_type: str, block: bytes) -> bytes:
    """One WARC 1.1 record (ISO 28500:2017) as one gzip member."""
    lines = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<{uuid.uuid5(uuid.NAMESPACE_URL, f'sirdar-demo/{kind}/{identity}').urn}>",
        "WARC-Date": date,
        **named,
        "WARC-Block-Digest": _digest(block),
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
    }
    head = "WARC/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    return gzip.compress(head.encode() + block + b"\r\n\r\n", compresslevel=6, mtime=0)


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
