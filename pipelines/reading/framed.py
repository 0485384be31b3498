"""What a reader of crawl files hands on: framed records and lost bytes, which together tile the file.

Every item covers [offset, next_offset) of the file as stored. Records that share one compressed slice cannot
be told apart in stored bytes: all but the last of them get an empty span at the slice's start, the last one
gets the slice. So a part may close only after a record with a span (`Framed.is_boundary`), and a reader that
starts again at that record's next_offset yields exactly the records that follow.
"""

from dataclasses import dataclass
from typing import Protocol

from pipelines.reading.optouts import NOTHING, Said


@dataclass(slots=True)
class Framed:
    """One record of any type; `drop` and `error` say why it cannot become a document, "" where it can.

    Not frozen: a reader fills in the span when it knows it, and there is one of these for every row.
    """

    offset: int
    next_offset: int
    record_type: str = ""
    record_id: str = ""
    url: str = ""
    date: str = ""
    source: str = ""
    licence: str = ""
    said: Said = NOTHING  # of robots and text mining, by the transport's headers
    content_type: str = ""  # lower case, without parameters; "" where nobody says
    charset: str = ""  # as declared by the transport
    status: int = 0  # of HTTP; 0 where there was none
    body: bytes = b""
    text: str | None = None  # records that come as text
    num_replaced: int = 0
    drop: str = ""
    error: str = ""

    def over(self, offset: int, next_offset: int) -> "Framed":
        """The same record, its span filled in."""
        self.offset, self.next_offset = offset, next_offset
        return self

    @property
    def is_boundary(self) -> bool:
        return self.next_offset > self.offset


@dataclass(frozen=True, slots=True)
class Lost:
    """Stored bytes that hold no readable record; `reason` is `damaged` or `truncated`."""

    offset: int
    next_offset: int
    reason: str


class BrokenRecord(Exception):
    """A record that is framed but cannot be read; `reason` is counted as an error."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ByteFile(Protocol):
    """A seekable binary file, local or of a file system library."""

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def close(self) -> None: ...


class Window:
    """Random access by position over one block of the file, so that memory stays constant.

    A file that cannot give the bytes that its size promises reads short, which readers report as truncated.
    """

    BLOCK_BYTES = 1 << 20

    def __init__(self, file: ByteFile, size: int) -> None:
        self.size = size
        self._file = file
        self._start = 0
        self._block = b""

    def at(self, position: int, num_bytes: int) -> bytes:
        """Up to `num_bytes` bytes from `position`, fewer only at the end of the file."""
        num_bytes = min(num_bytes, self.size - position)
        if num_bytes <= 0:
            return b""
        start = position - self._start
        if start < 0 or start + num_bytes > len(self._block):
            self._file.seek(position)
            self._block = self._fully(max(num_bytes, self.BLOCK_BYTES))
            self._start, start = position, 0
        return self._block[start : start + num_bytes]

    def find(self, needle: bytes, position: int) -> int:
        """Where `needle` next begins at or after `position`; -1 where nowhere."""
        step = self.BLOCK_BYTES - len(needle)
        while position < self.size:
            found = self.at(position, self.BLOCK_BYTES).find(needle)
            if found >= 0:
                return position + found
            position += step
        return -1

    def _fully(self, num_bytes: int) -> bytes:
        pieces = []
        while num_bytes > 0 and (piece := self._file.read(num_bytes)):
            pieces.append(piece)
            num_bytes -= len(piece)
        return b"".join(pieces)
