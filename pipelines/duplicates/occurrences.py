"""Which occurrences of a unit are later ones, and the edits that cut them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.duplicates.units import KINDS
from pipelines.edits.characters import text_bytes
from pipelines.edits.spans import cuts_array

UNIT = np.dtype([("hash", "<u8"), ("document", "<i8"), ("start", "<i4"), ("end", "<i4"), ("kind", "u1")])
TEXT_BITS = 32  # no text is longer
REASONS = tuple(f"repeated_{kind}" for kind in KINDS)

Found = npt.NDArray[Any]  # of UNIT
Flags = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]


def repeated(found: Found) -> Found:
    """The units, of type UNIT, that come more than once: by hash, then by document, then by place."""
    order = np.argsort(found["hash"])
    found = found[order[_twice(found["hash"][order])]]
    kept: Found = found[np.lexsort((found["start"], found["document"], found["hash"]))]
    return kept


def later(found: Found, keeping: Flags) -> Found:
    """The `repeated` units that a document before theirs keeps, or that come again within their own.

    `keeping` is by document; one that keeps nothing from others keeps from itself all the same. What overlaps the
    first in its document does not come again: "ha ha ha" would lose what it repeats.
    """
    document, bounds = found["document"], _groups(found)
    keeps = np.where(keeping[document], document, np.iinfo(np.int64).max)
    keeper = np.repeat(np.minimum.reduceat(keeps, bounds[:-1]), np.diff(bounds)) if len(found) else document
    first = np.ones(len(found), bool)  # of its document
    first[1:] = (found["hash"][1:] != found["hash"][:-1]) | (document[1:] != document[:-1])
    until = found["end"][first][np.cumsum(first) - 1]
    kept: Found = found[(keeper < document) | (~first & (found["start"] >= until))]
    return kept


def unsettled(found: Found, first_own: int) -> Found:
    """Those of `repeated` units whose keeper may change: several documents hold them, none before `first_own`."""
    bounds = _groups(found)
    first, last = found["document"][bounds[:-1]], found["document"][bounds[1:] - 1]
    kept: Found = found[np.repeat((first >= first_own) & (first < last), np.diff(bounds))]
    return kept


def held_by(found: Found, documents: Flags) -> Found:
    """Those of `repeated` units that one of the flagged documents holds, in all documents."""
    bounds = _groups(found)
    flagged = np.concatenate([[0], np.cumsum(documents[found["document"]])])[bounds]
    kept: Found = found[np.repeat(np.diff(flagged) > 0, np.diff(bounds))]
    return kept


def difference(left: Found, right: Found) -> Found:
    """What is in one of both only, in any order; a document has one unit of a kind at a place."""
    if not len(left) or not len(right):
        return left if len(left) else right
    both = np.concatenate([left, right])
    both = both[np.lexsort((both["kind"], both["start"], both["document"]))]
    kept: Found = both[~_twice(both)]
    return kept


def _groups(found: Found) -> I64:
    """Where each hash of `repeated` units begins, and the end."""
    new = np.ones(len(found) + 1, bool)
    new[1:-1] = found["hash"][1:] != found["hash"][:-1]
    return np.flatnonzero(new)


def _twice(column: npt.NDArray[Any]) -> Flags:
    """Which values of a sorted column have an equal neighbour."""
    same = np.zeros(len(column) + 1, bool)
    same[1:-1] = column[1:] == column[:-1]
    return same[1:] | same[:-1]


def cuts(texts: pa.Array, found: Found, rows: I64) -> pa.Array:
    """The edits that cut the found stretches, of type EDITS; `found` is of documents `rows`, those of the texts.

    Stretches that overlap, or that touch and are of one kind, are one span, with the reason of the first. What ends
    with its text takes the white space before it along.
    """
    found = found[np.lexsort((found["kind"], found["start"], found["document"]))]
    document, start, end = (found[name].astype(np.int64) for name in ("document", "start", "end"))
    offset = document << TEXT_BITS  # texts one behind the other, so that one running maximum does for all
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
