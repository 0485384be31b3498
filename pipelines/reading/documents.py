"""One input file to parts of documents: read, judged, extracted, counted, cut where a resumed run can seek.

A part closes at `part_bytes` of text or `part_rows` rows of documents or of rejects, at the first record
after which the file can be taken up again; so the same file gives the same parts, read in one go or resumed at
any of their ends. Records that are no pages (requests, metadata, empty lines) are counted by reason but get no
row in the rejects; lost bytes are no records, but each stretch of them has a row there, so that it is named.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.errors import AccountingError, DropRecord, InputError
from pipelines.reading import precise
from pipelines.reading.cleaning import cleaned
from pipelines.reading.extract import Page, page_text
from pipelines.reading.framed import ByteFile, Framed, Lost
from pipelines.reading.licence_ids import licence_id
from pipelines.reading.rows import read_lines, read_parquet
from pipelines.reading.warc import read_warc
from pipelines.records import DOCUMENTS, REJECTS, Counts, IngestedPart, document_id
from pipelines.settings import Ingest

WARC_ENDINGS = (".warc", ".wet", ".warc.gz", ".wet.gz")
LINE_ENDINGS = tuple(kind + packed for kind in (".jsonl", ".json") for packed in ("", ".gz", ".zst"))
PARQUET_ENDINGS = (".parquet",)
SUPPORTED = WARC_ENDINGS + LINE_ENDINGS + PARQUET_ENDINGS
MAX_CHUNK_BYTES = 2**31 - 1
UNLISTED = frozenset({"empty_line", "empty_member", "not_sampled"})

_AUTHORITY = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^:/?#\[\]]+)")
_LINE_BREAKS = {0: None, 9: " ", 10: " ", 13: " "}


def read_parts(
    open_file: Callable[[], ByteFile],
    *,
    relative: str,
    size: int,
    crawl: str,
    settings: Ingest,
    offset: int = 0,
) -> Iterator[IngestedPart]:
    """The file's parts from `offset`, 0 or an earlier part's next_offset, to its end.

    `relative` is the file's path below the crawl's root: its ending says the format, and errors name it.
    Raises InputError for an unknown format or an unusable file, AccountingError where bytes do not add up.
    """
    _must_be_supported(relative)
    if settings.extractor == "trafilatura":
        precise.installed()
    if size == 0:
        yield _Part(offset, relative, crawl, settings).closed(end=True)
        return
    if offset == size:  # its last part has been written
        return
    file = open_file()
    try:
        yield from _parts(_items(file, relative, size, offset, settings), relative, size, crawl, settings, offset)
    finally:
        file.close()


def is_supported(relative: str) -> bool:
    """Whether the file's ending names a format that `read_parts` reads."""
    return relative.lower().endswith(SUPPORTED)


def _must_be_supported(relative: str) -> None:
    if not is_supported(relative):
        raise InputError(f"{relative}: unknown format; supported are files ending in {', '.join(SUPPORTED)}")


def _items(file: Any, relative: str, size: int, offset: int, settings: Ingest) -> Iterator[Framed | Lost]:
    name = relative.lower()
    limit = settings.max_record_bytes
    if name.endswith(WARC_ENDINGS):
        return read_warc(file, size=size, compressed=name.endswith(".gz"), max_record_bytes=limit, offset=offset)
    if name.endswith(PARQUET_ENDINGS):
        return read_parquet(file, name=relative, size=size, max_record_bytes=limit, offset=offset)
    packed = next((ending for ending in ("gz", "zst") if name.endswith(ending)), "")
    return read_lines(file, name=relative, size=size, compression=packed, max_record_bytes=limit, offset=offset)


def _parts(
    items: Iterator[Framed | Lost], relative: str, size: int, crawl: str, settings: Ingest, position: int
) -> Iterator[IngestedPart]:
    part = _Part(position, relative, crawl, settings)
    for item in items:
        if item.offset != part.next_offset or item.next_offset < item.offset:
            raise AccountingError(
                f"{relative}: bytes {part.next_offset} to {item.offset} belong to no record; "
                "if the file was changed since its first part was written, remove its parts"
            )
        part.add(item)
        if part.next_offset < size and item.next_offset > item.offset and part.is_full:
            yield part.closed(end=False)
            part = _Part(item.next_offset, relative, crawl, settings)
    if part.next_offset != size:
        raise AccountingError(f"{relative}: {size} bytes, but reading ended at {part.next_offset}")
    yield part.closed(end=True)


class _Part:
    """The part being filled: documents as rows without their text, whose UTF-8 stands in one piece beside them."""

    def __init__(self, first_offset: int, relative: str, crawl: str, settings: Ingest) -> None:
        self.first_offset = self.next_offset = first_offset
        self._relative = relative
        self._crawl = crawl
        self._settings = settings
        self._sampled = settings.sample * 2**64
        self._documents: list[tuple[Any, ...]] = []
        self._rejects: list[tuple[Any, ...]] = []
        self._texts = bytearray()
        self._text_ends = [0]
        self._counts = Counts()
        self._seen: set[bytes] = set()
        self._bytes_read = self._bytes_lost = 0

    @property
    def is_full(self) -> bool:
        num_rows = max(len(self._documents), len(self._rejects))
        return len(self._texts) >= self._settings.part_bytes or num_rows >= self._settings.part_rows

    def add(self, item: Framed | Lost) -> None:
        num_bytes = item.next_offset - item.offset
        if isinstance(item, Lost):
            identity = document_id(self._crawl, self._relative, str(item.offset), "lost")
            self._reject(identity, "", f"lost_{item.reason}", item)
            self._bytes_lost += num_bytes
        else:
            self._counts.read += 1
            self._take(item)
            self._bytes_read += num_bytes
        self.next_offset = item.next_offset

    def closed(self, *, end: bool) -> IngestedPart:
        if not self._counts.balanced():
            raise AccountingError(f"{self._relative}: records do not add up: {self._counts}")
        return IngestedPart(
            documents=_table(self._documents, DOCUMENTS, text=_column(self._texts, self._text_ends)),
            rejects=_table(self._rejects, REJECTS),
            counts=self._counts,
            first_offset=self.first_offset,
            next_offset=self.next_offset,
            bytes_read=self._bytes_read,
            bytes_lost=self._bytes_lost,
            end=end,
        )

    def _take(self, framed: Framed) -> None:
        if framed.drop and (framed.drop in UNLISTED or framed.drop.startswith("type_")):
            self._counts.dropped[framed.drop] += 1
            return
        identity = _identity(framed, self._crawl, self._relative)
        if framed.error:
            self._fail(identity, framed.error, framed)
            return
        try:
            self._must_be_wanted(identity, framed)
            self._keep(identity, framed, _page(framed, self._settings))
        except DropRecord as drop:
            self._counts.dropped[drop.reason] += 1
            if drop.reason not in UNLISTED:
                self._reject(identity, framed.url, drop.reason, framed)
        except Exception as error:  # whatever a record provokes costs this record only
            self._fail(identity, f"exception_{type(error).__name__}", framed)

    def _must_be_wanted(self, identity: bytes, framed: Framed) -> None:
        if self._sampled < 2**64 and int.from_bytes(identity[:8], "big") >= self._sampled:
            raise DropRecord("not_sampled")
        if framed.drop:
            raise DropRecord(framed.drop)
        if identity in self._seen:
            raise DropRecord("duplicate_record")
        self._seen.add(identity)

    def _keep(self, identity: bytes, framed: Framed, page: Page) -> None:
        said = page.said
        told = [framed.url, framed.date, framed.source, framed.licence or page.licence, said.policy]
        if not _is_plain("".join(told)):
            told = [_plain(value) for value in told]
        url, date, source, licence, policy = told
        row = (
            identity,
            url,
            date,
            source or _host(url),
            licence,
            licence and licence_id(licence),
            said.robots,
            said.tdm,
            policy,
            page.charset,
            page.num_replaced,
            framed.offset,
            framed.next_offset - framed.offset,
            len(page.text),
        )
        self._documents.append(row)
        self._texts += page.text
        self._text_ends.append(len(self._texts))
        self._counts.kept += 1

    def _fail(self, identity: bytes, reason: str, framed: Framed) -> None:
        self._counts.errors[reason] += 1
        self._reject(identity, framed.url, reason, framed)

    def _reject(self, identity: bytes, url: str, reason: str, item: Framed | Lost) -> None:
        self._rejects.append((identity, _plain(url), reason, item.offset, item.next_offset - item.offset))


def _table(rows: list[tuple[Any, ...]], schema: pa.Schema, **last: pa.ChunkedArray) -> pa.Table:
    """Rows in the schema's order, and after them the columns that come whole."""
    fields = list(schema)[: len(schema) - len(last)]
    arrays = {field.name: pa.array([row[at] for row in rows], field.type) for at, field in enumerate(fields)}
    return pa.table({**arrays, **last}, schema=schema)


def _column(texts: bytearray, ends: list[int]) -> pa.ChunkedArray:
    """Strings that lie one after the other; in chunks where they are too long for 32-bit offsets."""
    offsets, data = np.array(ends, np.int64), pa.py_buffer(texts)
    chunks, start = [], 0
    while start < len(ends) - 1:
        stop = int(np.searchsorted(offsets, offsets[start] + MAX_CHUNK_BYTES, "right")) - 1
        within = pa.py_buffer((offsets[start : stop + 1] - offsets[start]).astype(np.int32))
        chunks.append(pa.Array.from_buffers(pa.string(), stop - start, [None, within, data.slice(int(offsets[start]))]))
        start = stop
    return pa.chunked_array(chunks, pa.string())


def _page(framed: Framed, settings: Ingest) -> Page:
    if framed.text is None:
        return page_text(
            framed.body,
            content_type=framed.content_type,
            declared=framed.charset,
            said=framed.said,
            main_content=settings.main_content,
            extractor=settings.extractor,
        )
    text = cleaned(framed.text)
    if not text:
        raise DropRecord("no_text")
    return Page(text, "", framed.num_replaced)


def _identity(framed: Framed, crawl: str, relative: str) -> bytes:
    if framed.record_id and framed.record_type != "row":
        return document_id(crawl, framed.record_id)
    if framed.drop or framed.error:  # nothing of it was read
        return document_id(crawl, relative, str(framed.offset), framed.drop or framed.error)
    payload = framed.body if framed.text is None else framed.text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(payload, usedforsecurity=False).hexdigest()
    # A row's own id may be no more than its number in its file, so its content counts too.
    return document_id(crawl, framed.record_id, framed.url, framed.date, digest)


def _host(url: str) -> str:
    found = _AUTHORITY.match(url)  # urlsplit refuses some URLs, and takes five times as long
    return found[1].lower() if found else ""


def _plain(value: str) -> str:
    """Valid UTF-8 without line ends or NUL bytes, as names and addresses have it."""
    if _is_plain(value):
        return value
    return value.encode("utf-8", "replace").decode().translate(_LINE_BREAKS)


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()
