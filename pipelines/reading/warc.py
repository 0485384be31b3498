"""WARC files to framed records that, with the lost bytes, tile the file; damage costs what it covers.

Own framing, because fastwarc and warcio read a truncated file to its end without an error, and stop in the
middle of a damaged one. A gzip member's checksum tells damage: a member that fails it is lost whole, and
reading goes on at the next gzip magic whose data begins with `WARC/`. Uncompressed files have no checksum:
there only a broken frame is noticed, and reading goes on at the next plausible record header.

One record a member is the rule and makes offsets seekable. Members with several records, up to a whole file
in one member, are read as a stream (`pipelines.reading.streams`); an offset inside one cannot be sought, so a resumed
reader decompresses the file again and skips.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from isal import isal_zlib

from pipelines.errors import DropRecord
from pipelines.reading import optouts
from pipelines.reading.framed import BrokenRecord, ByteFile, Framed, Lost, Window
from pipelines.reading.licences import of_link_header
from pipelines.reading.payload import DAMAGE, decoded, fields, head_ends, media_type, response
from pipelines.reading.streams import PULL_BYTES, GzipMember, Pieces, spread

MAX_HEADER_BYTES = 64 << 10
SINGLE_BYTES = 32 << 10  # of a member, compressed: of nearly all the whole
LARGE_BYTES = 256 << 10  # more of the others at once
RECORD_END = b"\r\n\r\n"
OPEN = (0, 0)  # a span that is filled in later
GZIP_MAGIC = b"\x1f\x8b\x08"
VERSION = b"WARC/"
PAGES = frozenset({"text/html", "application/xhtml+xml", "text/plain", ""})


def read_warc(
    file: ByteFile, *, size: int, compressed: bool, max_record_bytes: int, offset: int = 0
) -> Iterator[Framed | Lost]:
    """Every record from `offset`, a boundary that an earlier reading reported, to the end of the file.

    `compressed` is what the name says; where the first bytes say otherwise, they are believed.
    """
    window = Window(file, size)
    magic = window.at(0, len(VERSION))
    if magic == VERSION or not (compressed or magic.startswith(GZIP_MAGIC)):
        yield from _plain(window, offset, max_record_bytes)
    elif offset == 0 or _begins_record(window, offset):
        yield from _members(window, offset, max_record_bytes)
    else:
        items = _members(window, 0, max_record_bytes)
        yield from (item for item in items if item.offset >= offset)


# ---------------------------------------------------------------------------------------------------------
# Gzip


def _members(window: Window, position: int, limit: int) -> Iterator[Framed | Lost]:
    while position < window.size:
        if single := _single(window, position, limit):
            yield single
            position = single.next_offset
            continue
        stream = _Stream(GzipMember(window, position))
        records = iter(partial(_streamed, stream, limit), None)
        end, damage = yield from spread(records, stream.pieces, position)
        if damage:
            done, end = end, _next_member(window, max(end, position + 1))
            # A damaged stream may swallow what follows: only without a later member is the file truncated.
            yield Lost(done, end, damage if end == window.size else "damaged")
        position = end


def _single(window: Window, position: int, limit: int) -> Framed | None:
    """The record of a member that is whole and holds no other one, as nearly all do; None for the rest.

    Three times faster than the stream that the others are read by, and the same. Should isal find damage where zlib
    finds none, zlib is believed.
    """
    data = window.at(position, SINGLE_BYTES)
    end = position + len(data)
    inflater = isal_zlib.decompressobj(31)
    try:
        content = inflater.decompress(data, PULL_BYTES)
        header = _header(content)
        if header is None or not 0 <= header.length <= limit:
            return None
        size = header.num_bytes + header.length + len(RECORD_END)
        if not inflater.eof:
            pieces, num_bytes = [content], len(content)
            while not inflater.eof and num_bytes <= size:
                data = inflater.unconsumed_tail or window.at(end, LARGE_BYTES)
                if not inflater.unconsumed_tail:
                    end += len(data)
                if not data:
                    return None
                pieces.append(inflater.decompress(data, size + 1 - num_bytes))
                num_bytes += len(pieces[-1])
            content = b"".join(pieces)
    except DAMAGE:
        return None
    if not inflater.eof or len(content) != size or not content.endswith(RECORD_END):
        return None
    span = position, end - len(inflater.unused_data)
    return _judged(header, content[header.num_bytes : -len(RECORD_END)], limit, span)


class _Stream:
    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.buffer = bytearray()
        self.ended = False

    def more(self) -> bool:
        piece = b"" if self.ended else self.pieces.pull()
        self.ended = not piece
        self.buffer += piece
        return not self.ended

    def fill(self, num_bytes: int) -> bool:
        while len(self.buffer) < num_bytes:
            if not self.more():
                return False
        return True

    def skip(self, num_bytes: int) -> None:
        while num_bytes > len(self.buffer):
            num_bytes -= len(self.buffer)
            self.buffer.clear()
            if not self.more():
                return
        del self.buffer[:num_bytes]

    def skip_line_ends(self) -> bool:
        """To the first byte that ends no line; False at the end."""
        while True:
            rest = self.buffer.lstrip(b"\r\n")
            if rest or not self.more():
                self.buffer = rest
                return bool(rest)

    def skip_to_record(self) -> None:
        """To the next line that begins a record, or the end, without holding what is skipped."""
        while (found := self.buffer.find(b"\n" + VERSION)) < 0:
            del self.buffer[: -len(VERSION)]
            if not self.more():
                self.buffer.clear()
                return
        del self.buffer[: found + 1]


def _streamed(stream: _Stream, limit: int) -> Framed | None:
    """The stream's next record, its span still open; None at the end."""
    if not stream.skip_line_ends():
        return None
    header = _header(stream.buffer)
    while header is None and len(stream.buffer) < MAX_HEADER_BYTES and stream.more():
        header = _header(stream.buffer)
    if header is None or header.length < 0:
        stream.skip_to_record()
        return Framed(0, 0, error="bad_header")
    if header.length > limit:
        stream.skip(header.num_bytes + header.length)
        stream.skip_line_ends()
        return header.framed(drop="too_large")
    whole = stream.fill(header.num_bytes + header.length)
    with memoryview(stream.buffer) as held:
        block = bytes(held[header.num_bytes : header.num_bytes + header.length])
    stream.skip(header.num_bytes + header.length)
    if stream.skip_line_ends() and not (stream.fill(len(VERSION)) and stream.buffer.startswith(VERSION)):
        whole = False
        stream.skip_to_record()
    return _judged(header, block, limit) if whole else header.framed(error="bad_length")


def _next_member(window: Window, position: int) -> int:
    while (found := window.find(GZIP_MAGIC, position)) >= 0:
        if _begins_record(window, found):
            return found
        position = found + 1
    return window.size


def _begins_record(window: Window, position: int) -> bool:
    data = window.at(position, MAX_HEADER_BYTES)
    try:
        return data.startswith(GZIP_MAGIC) and zlib.decompressobj(31).decompress(data, 16).startswith(VERSION)
    except zlib.error:
        return False


# ---------------------------------------------------------------------------------------------------------
# Uncompressed


def _plain(window: Window, position: int, limit: int) -> Iterator[Framed | Lost]:
    while position < window.size:
        header = _header(window.at(position, MAX_HEADER_BYTES))
        block_end = position + header.num_bytes + header.length if header and header.length >= 0 else -1
        end = _plain_end(window, block_end)
        if header and end >= 0:
            if header.length > limit:
                yield header.framed((position, end), drop="too_large")
            else:
                block = window.at(position + header.num_bytes, header.length)
                yield _judged(header, block, limit, (position, end))
        else:
            end = _next_plain(window, position + 1)
            cut = end == window.size and block_end > window.size
            yield Lost(position, end, "truncated" if cut else "damaged")
        position = end


def _plain_end(window: Window, block_end: int) -> int:
    """Where the record whose block ends at `block_end` gives way to the next; -1 where the frame is broken.

    The empty lines are enough, so that damage to the next record's first line does not cost this one.
    """
    if not 0 <= block_end <= window.size:
        return -1
    tail = window.at(block_end, 64)
    end = block_end + len(tail) - len(tail.lstrip(b"\r\n"))
    closed = tail.startswith(b"\r\n\r\n") or end == window.size or window.at(end, len(VERSION)) == VERSION
    return end if closed else -1


def _next_plain(window: Window, position: int) -> int:
    while (found := window.find(VERSION, position)) >= 0:
        header = _header(window.at(found, MAX_HEADER_BYTES))
        if header and header.length >= 0 and header.record_type:
            return found
        position = found + 1
    return window.size


# ---------------------------------------------------------------------------------------------------------
# One record


class _Header(NamedTuple):
    values: dict[str, str]
    num_bytes: int
    length: int  # of the block; -1 where it is not said

    @property
    def record_type(self) -> str:
        return self.values.get("warc-type", "").lower()

    def framed(self, span: tuple[int, int] = OPEN, **values: Any) -> Framed:
        return Framed(
            *span,
            record_type=self.record_type,
            record_id=self.values.get("warc-record-id", ""),
            url=self.values.get("warc-target-uri", "").strip("<>"),
            date=self.values.get("warc-date", ""),
            **values,
        )


def _header(data: bytes | bytearray) -> _Header | None:
    """The record header that `data` begins with; None where there is none, or not yet all of it."""
    if not data.startswith(VERSION):
        return None
    end, start = head_ends(data, MAX_HEADER_BYTES)
    if end == len(data):
        return None
    values = fields(bytes(data[data.find(b"\n") + 1 : end]))
    length = values.get("content-length", "")
    known = length.isascii() and length.isdigit() and len(length) < 19
    return _Header(values, start, int(length) if known else -1)


def _judged(header: _Header, block: bytes, limit: int, span: tuple[int, int] = OPEN) -> Framed:
    """The record with its body, or with the reason why it cannot become a document."""
    kind = header.record_type
    judge = _JUDGES.get(kind)
    if judge is None:
        return header.framed(span, drop=f"type_{kind if kind.isalpha() else 'unknown'}")
    try:
        return header.framed(span, **judge(header, block, limit))
    except DropRecord as drop:
        return header.framed(span, drop=drop.reason)
    except BrokenRecord as broken:
        return header.framed(span, error=broken.reason)
    except Exception as error:  # whatever a record provokes costs this record only
        return header.framed(span, error=f"exception_{type(error).__name__}")


def _response(header: _Header, block: bytes, limit: int) -> dict[str, Any]:
    if not header.values.get("content-type", "application/http").lower().startswith("application/http"):
        raise DropRecord("content_type")  # e.g. text/dns
    answer = response(block)
    if not 200 <= answer.status < 300:
        raise DropRecord(f"status_{answer.status}")
    if not answer.body:
        raise DropRecord("empty_body")
    if answer.content_type not in PAGES:
        raise DropRecord("content_type")
    body = decoded(answer, limit)
    if not body:
        raise DropRecord("empty_body")
    return {
        "status": answer.status,
        "content_type": answer.content_type,
        "charset": answer.charset,
        "licence": of_link_header(answer.headers.get("link", "")),
        "said": optouts.of_headers(answer.headers),
        "body": body,
    }


def _resource(header: _Header, block: bytes, limit: int) -> dict[str, Any]:
    if header.values.get("content-type", "").lower().startswith("application/http"):
        return _response(header, block, limit)
    content_type, charset = media_type(header.values.get("content-type", ""))
    if not block:
        raise DropRecord("empty_body")
    if content_type not in PAGES:
        raise DropRecord("content_type")
    return {"content_type": content_type, "charset": charset, "body": block}


_JUDGES: dict[str, Callable[[_Header, bytes, int], dict[str, Any]]] = {
    "response": _response,
    "resource": _resource,
    "conversion": _resource,
}
