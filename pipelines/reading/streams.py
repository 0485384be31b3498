"""Compressed files as streams of pieces, and the spans of stored bytes that the records in them get.

A position inside a compressed stream cannot be sought, so positions are known by slices of stored bytes: the
same slices whoever reads, because they start at the stream's start. All output is bounded: a gzip stream
hands out PULL_BYTES at a time; ZSTD_SLICE_BYTES of zstd expand to 8 MiB at most (128 KiB from every 4 bytes).
"""

import zlib
from collections.abc import Generator, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipelines.reading.framed import Framed, Window

SLICE_BYTES = 16 << 10
ZSTD_SLICE_BYTES = 1 << 8
PULL_BYTES = 1 << 20
MAX_ZSTD_WINDOW_BYTES = 1 << 27

I64 = npt.NDArray[np.int64]


class DamagedStream(Exception):
    """The stream breaks off; the text is `damaged` or `truncated`."""


class Puller(Protocol):
    def pull(self) -> bytes:
        """The next piece, b"" at the verified end; raises DamagedStream."""


class Pieces(Puller, Protocol):
    """Data in pieces; [slice_start, position) are the stored bytes that the last piece came from."""

    @property
    def slice_start(self) -> int: ...

    @property
    def position(self) -> int: ...


def spread(records: Iterator[Framed], pieces: Pieces, start: int) -> Generator[Framed, None, tuple[int, str]]:
    """The records with their spans, from `start` on; returns (end of the last one, damage or "").

    A record is held back until the next one, or the stream's verified end, shows how far its span reaches. So
    the only record of a damaged stream is never handed out, nor is the last one before the damage.
    """
    done = start
    held: tuple[Framed, int, int] | None = None
    try:
        for record in records:
            if held:
                end = done if held[1] == pieces.slice_start else held[2]
                yield held[0].over(done, end)
                done = end
            held = (record, pieces.slice_start, pieces.position)
    except DamagedStream as damage:
        return done, str(damage)
    last = held[0] if held else Framed(0, 0, drop="empty_member")
    yield last.over(done, pieces.position)
    return pieces.position, ""


class Slices:
    """Pieces, and the spans of the records in them, as `spread` gives them, by where in the stream the records end."""

    def __init__(self, pieces: Pieces, start: int = 0) -> None:
        self.done = start  # the end of the last span that was told
        self._pieces = pieces
        self._begun = 0  # where in the stream the next records begin
        self._stops, self._slices = [0], [(start, start)]  # of each piece
        self._last: tuple[int, int] | None = None  # the slice of the record that waits for the next one

    def pull(self) -> bytes:
        piece = self._pieces.pull()
        self._stops.append(self._stops[-1] + len(piece))
        self._slices.append((self._pieces.slice_start, self._pieces.position))
        return piece

    def bounds(self, ends: I64, ended: bool) -> I64:
        """Where the spans of the record that waits and of these but for the last lie; that one waits from now on.

        `ends` are of the records that come next, counted from the first one's beginning. The first of them all has
        none before it: its bounds begin twice. Where the last is not `ended`, the stream's end is what ends it.
        """
        at = np.searchsorted(self._stops, self._begun + ends)
        if not ended:
            at[-1] = len(self._stops) - 1
        slices = np.array([self._last or self._slices[at[0]], *(self._slices[place] for place in at.tolist())])
        same = slices[:-1, 0] == slices[1:, 0]
        closes = np.maximum.accumulate(np.where(same, self.done, slices[:-1, 1]))
        bounds = np.concatenate([[self.done], closes])
        self.done, self._last, self._begun = int(bounds[-1]), tuple(slices[-1].tolist()), self._begun + int(ends[-1])
        del self._stops[: at[-1]], self._slices[: at[-1]]
        return bounds


class PlainPieces:
    """A file that is not compressed."""

    def __init__(self, window: Window, start: int) -> None:
        self.slice_start = self.position = start
        self._window = window

    def pull(self) -> bytes:
        piece = self._window.at(self.position, PULL_BYTES)
        self.slice_start, self.position = self.position, self.position + len(piece)
        return piece


class GzipMember:
    """One gzip member, whose checksum is verified before its end is reported."""

    def __init__(self, window: Window, start: int) -> None:
        self.slice_start = self.position = start
        self._window = window
        self._inflater = zlib.decompressobj(31)

    def pull(self) -> bytes:
        inflater = self._inflater
        while not inflater.eof:
            data = inflater.unconsumed_tail
            if not data:
                data = self._window.at(self.position, SLICE_BYTES)
                if data:
                    self.slice_start, self.position = self.position, self.position + len(data)
            try:
                piece = inflater.decompress(data, PULL_BYTES)
            except zlib.error:
                raise DamagedStream("damaged") from None
            if inflater.eof:
                self.position -= len(inflater.unused_data)
            elif not piece and not data:
                raise DamagedStream("truncated")
            if piece:
                return piece
        return b""


class GzipFile:
    """All gzip members of a file as one stream; zeros after the last one are padding."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._member = GzipMember(window, 0)

    @property
    def slice_start(self) -> int:
        return self._member.slice_start

    @property
    def position(self) -> int:
        return self._member.position

    def pull(self) -> bytes:
        while not (piece := self._member.pull()):
            position = self._member.position
            if position >= self._window.size:
                return b""
            if self._window.at(position, 1) == b"\0":
                self._pass_padding()
            else:
                self._member = GzipMember(self._window, position)
        return piece

    def _pass_padding(self) -> None:
        while self._member.position < self._window.size:
            data = self._window.at(self._member.position, PULL_BYTES)
            if not data or data.strip(b"\0"):
                raise DamagedStream("damaged")
            self._member.position += len(data)


class ZstdFile:
    """All zstd frames of a file as one stream."""

    def __init__(self, window: Window) -> None:
        import zstandard

        self.slice_start = self.position = 0
        self._window = window
        self._error: type[Exception] = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
        self._frame = self._decompressor.decompressobj()
        self._fresh = True

    def pull(self) -> bytes:
        while True:
            data = self._window.at(self.position, ZSTD_SLICE_BYTES)
            if not data:
                if self._fresh and self.position == self._window.size:
                    return b""
                raise DamagedStream("truncated")
            self.slice_start, self.position = self.position, self.position + len(data)
            try:
                piece: bytes = self._frame.decompress(data)
            except self._error:
                raise DamagedStream("damaged") from None
            self._fresh = self._frame.eof
            if self._frame.eof:
                self.position -= len(self._frame.unused_data)
                self._frame = self._decompressor.decompressobj()
            if piece:
                return piece
