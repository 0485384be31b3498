"""One input file to parts of documents: read, judged, extracted, counted, cut where a resumed run can seek.

A part closes at `part_bytes` of text or `part_rows` rows of documents or of rejects, at the first record
after which the file can be taken up again; so the same file gives the same parts, read in one go or resumed at
any of their ends. Records that are no pages (requests, metadata, empty lines) are counted by reason but get no
row in the rejects; lost bytes are no records, but each stretch of them has a row there, so that it is named.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import AccountingError, DropRecord, InputError
from pipelines.reading import precise
from pipelines.reading.batches import Batch, Item, Rows, host, on_one_line, rows_of
from pipelines.reading.cleaning import cleaned
from pipelines.reading.extract import Page, page_text
from pipelines.reading.framed import ByteFile, Framed, Lost
from pipelines.reading.json_lines import read_lines
from pipelines.reading.licence_ids import licence_id
from pipelines.reading.parquet_rows import read_parquet
from pipelines.reading.tables import Documents, table_of
from pipelines.reading.warc import read_warc
from pipelines.records import REJECTS, Counts, IngestedPart, document_id
from pipelines.settings import Ingest

WARC_ENDINGS = (".warc", ".wet", ".warc.gz", ".wet.gz")
LINE_ENDINGS = tuple(kind + packed for kind in (".jsonl", ".json") for packed in ("", ".gz", ".zst"))
PARQUET_ENDINGS = (".parquet",)
SUPPORTED = WARC_ENDINGS + LINE_ENDINGS + PARQUET_ENDINGS
LEAST_ROWS = 8  # for which tables are faster than records
UNLISTED = frozenset({"empty_line", "empty_member", "not_sampled"})

Bools = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]


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


def _items(file: Any, relative: str, size: int, offset: int, settings: Ingest) -> Iterator[Item]:
    name = relative.lower()
    limit = settings.max_record_bytes
    if name.endswith(WARC_ENDINGS):
        return read_warc(file, size=size, compressed=name.endswith(".gz"), max_record_bytes=limit, offset=offset)
    if name.endswith(PARQUET_ENDINGS):
        return read_parquet(file, name=relative, size=size, max_record_bytes=limit, offset=offset)
    packed = next((ending for ending in ("gz", "zst") if name.endswith(ending)), "")
    return read_lines(file, name=relative, size=size, compression=packed, max_record_bytes=limit, offset=offset)


def _parts(
    items: Iterator[Item], relative: str, size: int, crawl: str, settings: Ingest, position: int
) -> Iterator[IngestedPart]:
    part = _Part(position, relative, crawl, settings)
    for item in items:
        if item.offset != part.next_offset or item.next_offset < item.offset:
            raise AccountingError(
                f"{relative}: bytes {part.next_offset} to {item.offset} belong to no record; "
                "if the file was changed since its first part was written, remove its parts"
            )
        rows = rows_of(item, crawl) if isinstance(item, Batch) else None
        taken = 0
        while taken < (len(rows) if rows else 1):
            taken += part.add_rows(rows, taken) if rows else part.add(item)  # type: ignore[arg-type]
            if part.is_full and part.next_offset < size:
                yield part.closed(end=False)
                part = _Part(part.next_offset, relative, crawl, settings)
    if part.next_offset != size:
        raise AccountingError(f"{relative}: {size} bytes, but reading ended at {part.next_offset}")
    yield part.closed(end=True)


class _Part:
    """The part being filled."""

    def __init__(self, first_offset: int, relative: str, crawl: str, settings: Ingest) -> None:
        self.first_offset = self.next_offset = first_offset
        self._relative = relative
        self._crawl = crawl
        self._settings = settings
        self._sampled = math.ceil(settings.sample * 2**64)
        self._documents = Documents()
        self._rejects: list[tuple[Any, ...]] = []
        self._counts = Counts()
        self._seen: set[bytes] = set()
        self._bytes_read = self._bytes_lost = 0
        self._at_boundary = False

    @property
    def is_full(self) -> bool:
        """Whether it closes here: after a record with a span of its own."""
        num_rows = max(self._counts.kept, len(self._rejects))
        full = self._documents.num_bytes >= self._settings.part_bytes or num_rows >= self._settings.part_rows
        return full and self._at_boundary

    def add(self, item: Framed | Lost) -> int:
        """Take the item in; 1."""
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
        self._at_boundary = num_bytes > 0
        return 1

    def add_rows(self, rows: Rows, first: int) -> int:
        """Take in rows from `first` on, until the part is full or one has to be taken by itself; how many."""
        stop = rows.run_end(first)
        if stop - first < LEAST_ROWS:
            return self.add(rows.batch.record(first))
        kept = np.ones(stop - first, bool)
        if self._sampled < 2**64:
            kept = np.frombuffer(b"".join(rows.ids[first:stop]), ">u8")[::2] < self._sampled
        stop = first + self._room(rows.sizes[first:stop] * kept, kept, rows.batch.bounds[first : stop + 1])
        kept = kept[: stop - first]
        ids = list(compress(rows.ids[first:stop], kept.tolist()))
        fresh = set(ids)
        if len(fresh) < len(ids) or not fresh.isdisjoint(self._seen):
            return self._add_each(rows, first, stop)
        table = rows.table.slice(first, len(kept))
        self._documents.add_table(table if kept.all() else table.filter(kept), int(rows.sizes[first:stop][kept].sum()))
        self._seen |= fresh
        self._counts.read += len(kept)
        self._counts.kept += len(ids)
        if len(ids) < len(kept):
            self._counts.dropped["not_sampled"] += len(kept) - len(ids)
        start, end = rows.batch.bounds[[stop - 1, stop]].tolist()
        self._bytes_read += end - self.next_offset
        self.next_offset, self._at_boundary = end, end > start
        return len(kept)

    def _room(self, sizes: I64, kept: Bools, bounds: I64) -> int:
        """How many of these rows, all of them new, make the part full; all where they do not."""
        full = self._documents.num_bytes + np.cumsum(sizes) >= self._settings.part_bytes
        full |= self._counts.kept + np.cumsum(kept) >= self._settings.part_rows
        full |= len(self._rejects) >= self._settings.part_rows
        full &= np.diff(bounds) > 0
        return int(np.argmax(full)) + 1 if full.any() else len(full)

    def _add_each(self, rows: Rows, first: int, stop: int) -> int:
        """Record by record, since some are repeated."""
        for row in range(first, stop):
            self.add(rows.batch.record(row))
            if self.is_full:
                return row + 1 - first
        return stop - first

    def closed(self, *, end: bool) -> IngestedPart:
        if not self._counts.balanced():
            raise AccountingError(f"{self._relative}: records do not add up: {self._counts}")
        return IngestedPart(
            documents=self._documents.table(),
            rejects=table_of(self._rejects, REJECTS),
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
        if on_one_line(joined := "".join(told)) is not joined:
            told = [on_one_line(value) for value in told]
        url, date, source, licence, policy = told
        row = (
            identity,
            url,
            date,
            source or host(url),
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
        self._documents.add(row, page.text)
        self._counts.kept += 1

    def _fail(self, identity: bytes, reason: str, framed: Framed) -> None:
        self._counts.errors[reason] += 1
        self._reject(identity, framed.url, reason, framed)

    def _reject(self, identity: bytes, url: str, reason: str, item: Framed | Lost) -> None:
        self._rejects.append((identity, on_one_line(url), reason, item.offset, item.next_offset - item.offset))


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
