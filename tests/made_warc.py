"""WARC files made for tests."""

import gzip


def record(
    number: int,
    body: bytes,
    *,
    kind: str = "response",
    http: bytes = b"",
    status: str = "200 OK",
    url: str | None = None,
) -> bytes:
    """One record, uncompressed, with the id <urn:number>."""
    block = body
    content_type = "text/html"
    if kind == "response":
        head = b"HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\n%s\r\n" % (status.encode(), http)
        block, content_type = head + body, "application/http; msgtype=response"
    fields = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:{number}>\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
        f"WARC-Target-URI: {url or f'http://host-{number}.example/'}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return fields.encode() + block + b"\r\n\r\n"


def crawl(num_pages: int, *, compressed: bool = True) -> bytes:
    """A request before every response, an empty page at every tenth."""
    pieces = []
    for number in range(num_pages):
        url = f"http://Host{number % 3}.example:80/{number}"
        body = f"<html><body><p>Page {number} says {number**9}.</p>".encode() if number % 10 else b""
        pieces.append(record(-number - 1, b"GET / HTTP/1.1\r\n\r\n", kind="request", url=url))
        pieces.append(record(number, body, url=url))
    return b"".join(gzip.compress(piece, mtime=0) if compressed else piece for piece in pieces)
