"""The records that travel between stages: schemas, identities, and the accounting of one input file."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ID = pa.binary(16)
ID_WORDS = np.dtype([("high", ">u8"), ("low", ">u8")])  # ids in NumPy: compares as the bytes do (S16 drops zero bytes)

DOCUMENTS = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("date", pa.string(), nullable=False),  # ISO 8601 as the crawl says it, "" where it says nothing
        pa.field("source", pa.string(), nullable=False),  # host name, or the record's own `source` field
        pa.field("licence", pa.string(), nullable=False),  # its address or text as declared; "" where nobody says
        pa.field("licence_id", pa.string(), nullable=False),  # SPDX-like, "" where `licence` is none that is known
        pa.field("robots", pa.string(), nullable=False),  # directives, sorted, with commas; "" where there are none
        pa.field("tdm", pa.string(), nullable=False),  # tdm-reservation: "1", "0", or "" where nobody says
        pa.field("tdm_policy", pa.string(), nullable=False),  # its policy's address
        pa.field("charset", pa.string(), nullable=False),  # how the bytes were decoded; "" for text that came as text
        pa.field("num_replaced", pa.int32(), nullable=False),  # U+FFFD written for undecodable bytes
        pa.field("offset", pa.int64(), nullable=False),  # of the record in its input file, in stored bytes
        pa.field("length", pa.int64(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),  # of the text, UTF-8
        pa.field("text", pa.string(), nullable=False),
    ]
)

REJECTS = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
    ]
)


def id_column(ids: npt.NDArray[np.void]) -> pa.FixedSizeBinaryArray:
    """Ids of type ID_WORDS as a column."""
    return pa.FixedSizeBinaryArray.from_buffers(ID, len(ids), [None, pa.py_buffer(ids.astype(ID_WORDS).tobytes())])


def document_id(*identity: str) -> bytes:
    """128-bit id of a record from its own identity, e.g. (crawl, WARC-Record-ID)."""
    return hashlib.blake2b("\x1f".join(identity).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def document_ids(crawl: str, identities: Iterable[bytes | memoryview]) -> list[bytes]:
    """`document_id(crawl, ...)` of many records: of each the UTF-8 of what follows the crawl, joined as there."""
    head = hashlib.blake2b(f"{crawl}\x1f".encode("utf-8", "surrogatepass"), digest_size=16)
    ids = []
    for identity in identities:
        hasher = head.copy()
        hasher.update(identity)
        ids.append(hasher.digest())
    return ids


@dataclass(slots=True)
class Counts:
    """What became of the records of one part: read = kept + dropped + errors, always."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def balanced(self) -> bool:
        return self.read == self.kept + self.dropped.total() + self.errors.total()

    def add(self, other: "Counts") -> None:
        self.read += other.read
        self.kept += other.kept
        self.dropped.update(other.dropped)
        self.errors.update(other.errors)


@dataclass(frozen=True, slots=True)
class IngestedPart:
    """The documents and rejects of one stretch [first_offset, next_offset) of an input file.

    Offsets and byte counts are of the file as stored. `end` marks the file's last part; over all parts of
    a file, bytes_read + bytes_lost is the file's size.
    """

    documents: pa.Table
    rejects: pa.Table
    counts: Counts
    first_offset: int
    next_offset: int
    bytes_read: int
    bytes_lost: int
    end: bool
