"""Which occurrences of a unit are later ones, and the edits that cut them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.duplicates.units import KINDS
from pipelines.edits.characters import text_bytes
from pipelines.edits.spans import cuts_array

UNIT = np.dtype([("hash", "<u8"), ("document", "<i8"), ("start", "<i4"), ("end", "<i4"), ("kind", "u1")])
ROW_BITS = 32
REASONS = tuple(f"repeated_{kind}" for kind in KINDS)

Found = npt.NDArray[Any]  # of UNIT
I64 = npt.NDArray[np.int64]


def later(found: Found) -> Found:
    """The units, of type UNIT, that have the hash of one before them, by document and then by place.

    What overlaps the first in its own document is none of them: "ha ha ha" would lose what it repeats.
    """
    found = found[np.lexsort((found["start"], found["document"], found["hash"]))]
    new = np.ones(len(found), bool)
    new[1:] = found["hash"][1:] != found["hash"][:-1]
    first = np.flatnonzero(new)[np.cumsum(new) - 1]
    inside = (found["document"] == found["document"][first]) & (found["start"] < found["end"][first])
    kept: Found = found[~new & ~inside]
    return kept


def cuts(texts: pa.Array, found: Found, rows: I64) -> pa.Array:
    """The edits that cut the found stretches, of type EDITS; `found` is of documents `rows`, those of the texts.

    Stretches that overlap, or that touch and are of one kind, are one span, with the reason of the first. What ends
    with its text takes the white space before it along.
    """
    found = found[np.lexsort((found["kind"], found["start"], found["document"]))]
    document, start, end = (found[name].astype(np.int64) for name in ("document", "start", "end"))
    offset = document << ROW_BITS  # texts one behind the other, so that one running maximum does for all
    reach = np.maximum.accumulate(offset + end) if len(found) else offset
    new = np.ones(len(found), bool)
    new[1:] = (offset + start)[1:] >= reach[:-1]
    touching = np.zeros(len(found), bool)
    touching[1:] = ((offset + start)[1:] == reach[:-1]) & (found["kind"][1:] == found["kind"][:-1])
    first = np.flatnonzero(new & ~touching)
    last = np.append(first[1:], len(found))[: len(first)] - 1
    place = np.searchsorted(rows, document[first])
    starts, ends = start[first], reach[last] - offset[first]
    data, bounds = text_bytes(texts)
    joins = np.zeros(len(place), bool)  # begins where another span of its text ends
    joins[1:] = (place[1:] == place[:-1]) & (starts[1:] == ends[:-1])
    for number in np.flatnonzero(ends == np.diff(bounds)[place]).tolist():
        while joins[number]:
            number -= 1
        before = ends[number - 1] if number and place[number - 1] == place[number] else 0
        stays = bytes(data[bounds[place[number]] + before : bounds[place[number]] + starts[number]])
        starts[number] = before + len(stays.decode().rstrip().encode())
    offsets = np.searchsorted(place, np.arange(len(rows) + 1)).astype(np.int64)
    return cuts_array(offsets, starts, ends, found["kind"][first], REASONS)
