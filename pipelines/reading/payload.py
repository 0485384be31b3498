"""The HTTP response inside a WARC record: status, type, and the body without transfer and content encoding.

Crawlers disagree about what they store: some undo the encodings and keep the headers that announce them. So
a body that does not begin as announced is taken as it is; one that begins so and then breaks is an error. A
body that only ends too early is kept: the beginning of a page is text like any other.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple, cast

from isal import isal_zlib

from pipelines.errors import DropRecord
from pipelines.reading.framed import BrokenRecord

SLICE_BYTES = 8 << 10  # of a compressed body at once; what follows a gzip member is copied, so it must be short
GZIP_MAGIC = b"\x1f\x8b"
DAMAGE = cast(type[Exception], isal_zlib.error)
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LISTS = frozenset({"link", "x-robots-tag", "content-usage"})  # fields that servers repeat, with a value in each


class Response(NamedTuple):
    status: int
    content_type: str
    charset: str
    headers: dict[str, str]
    body: bytes  # still encoded; see `decoded`


def response(block: bytes) -> Response:
    """Status, declared type and encoded body of an HTTP response; raises BrokenRecord `bad_http`."""
    end, start = head_ends(block)
    line, _, rest = block[:end].partition(b"\n")
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].upper().startswith(b"HTTP") or not words[1][:3].isdigit():
        raise BrokenRecord("bad_http")
    headers = fields(rest)
    content_type, charset = media_type(headers.get("content-type", ""))
    return Response(int(words[1][:3]), content_type, charset, headers, block[start:])


def decoded(answer: Response, max_bytes: int) -> bytes:
    """The body without chunks and compression; raises DropRecord `too_large`, BrokenRecord `bad_encoding`."""
    body = answer.body
    if "chunked" in answer.headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    for name in reversed(answer.headers.get("content-encoding", "").lower().split(",")):
        unpack = _UNPACKERS.get(name.strip())
        if unpack and body:
            body = unpack(body, max_bytes)
    return body


def head_ends(block: bytes | bytearray, within: int | None = None) -> tuple[int, int]:
    """(where the head ends, where the rest begins) at the first empty line, with either kind of line end.

    Without one in the first `within` bytes, both are the block's end.
    """
    crlf = block.find(b"\r\n\r\n", 0, within)
    lf = block.find(b"\n\n", 0, crlf if crlf >= 0 else within)
    if lf >= 0:
        return lf, lf + 2
    return (crlf, crlf + 4) if crlf >= 0 else (len(block), len(block))


def fields(head: bytes) -> dict[str, str]:
    """Header fields by lower-case name; folded lines joined; of a repeated one the first, or all where it is a list."""
    found: dict[str, str] = {}
    for line in _unfolded(head.decode("utf-8", "replace")):
        name, colon, value = line.partition(":")
        if colon:
            name = name.strip().lower()
            if name not in found:
                found[name] = value.strip()
            elif name in LISTS:
                found[name] = f"{found[name]}, {value.strip()}"
    return found


def _unfolded(head: str) -> list[str]:
    if "\n " not in head and "\n\t" not in head:
        return head.split("\n")
    lines: list[str] = []
    for line in head.split("\n"):
        if line[:1] not in (" ", "\t"):
            lines.append(line)
        elif lines:
            lines[-1] = f"{lines[-1].rstrip()} {line.strip()}"
    return lines


def media_type(value: str) -> tuple[str, str]:
    """(type, charset) of a Content-Type value, both lower case."""
    kind, *parameters = value.lower().split(";")
    for parameter in parameters:
        name, _, label = parameter.partition("=")
        if name.strip() == "charset":
            return kind.strip(), label.strip().strip("\"'").strip()
    return kind.strip(), ""


# ---------------------------------------------------------------------------------------------------------
# Encodings


def _unchunked(body: bytes) -> bytes:
    pieces = []
    position = 0
    while position < len(body):
        line_end = body.find(b"\n", position, position + 1024)
        digits = body[position : max(line_end, position)].split(b";")[0].strip()
        try:
            length = int(digits, 16) if digits[:1] not in (b"-", b"+") else -1
        except ValueError:
            length = -1
        if length < 0:
            if position == 0:
                return body  # stored without the chunks that the header announces
            raise BrokenRecord("bad_chunks")
        if length == 0:
            break
        start = line_end + 1
        pieces.append(body[start : start + length])
        position = start + length
        while body[position : position + 1] in (b"\r", b"\n"):
            position += 1
    return b"".join(pieces)


def _at_once(body: bytes, max_bytes: int, window_bits: int) -> bytes | None:
    """A body that is one whole stream with a checksum, as nearly all are; None for the rest.

    Twice as fast as zlib, which is believed in all else.
    """
    inflater = isal_zlib.decompressobj(window_bits)
    try:
        content = inflater.decompress(body, max_bytes + 1)
    except DAMAGE:
        return None
    whole = inflater.eof and len(content) <= max_bytes and not inflater.unused_data.startswith(GZIP_MAGIC)
    return content if whole else None


def _inflated(body: bytes, max_bytes: int, window_bits: int) -> bytes:
    """All members of a body; linear in it, however many there are."""
    if window_bits > 0 and (content := _at_once(body, max_bytes, window_bits)) is not None:
        return content
    pieces, total, position = [], 0, 0
    inflater = zlib.decompressobj(window_bits)
    while position < len(body):
        compressed = body[position : position + SLICE_BYTES]
        piece = inflater.decompress(compressed, max_bytes + 1 - total)
        total += len(piece)
        if total > max_bytes:
            raise DropRecord("too_large")
        pieces.append(piece)
        position += len(compressed) - len(inflater.unused_data)
        if inflater.eof:
            if not body.startswith(GZIP_MAGIC, position):
                break
            inflater = zlib.decompressobj(window_bits)
    return b"".join(pieces)


def _gunzipped(body: bytes, max_bytes: int) -> bytes:
    if not body.startswith(GZIP_MAGIC):
        return body
    try:
        return _inflated(body, max_bytes, 31)
    except zlib.error:
        raise BrokenRecord("bad_encoding") from None


def _deflated(body: bytes, max_bytes: int) -> bytes:
    for window_bits in (15, -15):  # servers send zlib streams and bare deflate under this one name
        try:
            return _inflated(body, max_bytes, window_bits)
        except zlib.error:
            continue
    if body.lstrip()[:1] == b"<":
        return body
    raise BrokenRecord("bad_encoding")


def _unbrotlied(body: bytes, max_bytes: int) -> bytes:
    import brotli

    decompressor = brotli.Decompressor()
    pieces, total = [], 0
    try:
        piece = decompressor.process(body, output_buffer_limit=1 << 20)
        while piece or not decompressor.can_accept_more_data():
            total += len(piece)
            if total > max_bytes:
                raise DropRecord("too_large")
            pieces.append(piece)
            if decompressor.is_finished():
                break
            piece = decompressor.process(b"", output_buffer_limit=1 << 20)
    except brotli.error:
        if body.lstrip()[:1] == b"<":  # brotli has no magic
            return body
        raise BrokenRecord("bad_encoding") from None
    return b"".join(pieces)


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    if not body.startswith(ZSTD_MAGIC):
        return body
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body)
    pieces, total = [], 0
    try:
        while piece := reader.read(1 << 20):
            total += len(piece)
            if total > max_bytes:
                raise DropRecord("too_large")
            pieces.append(piece)
    except zstandard.ZstdError:
        raise BrokenRecord("bad_encoding") from None
    return b"".join(pieces)


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzipped,
    "x-gzip": _gunzipped,
    "deflate": _deflated,
    "br": _unbrotlied,
    "zstd": _unzstd,
}
