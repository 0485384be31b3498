"""DCLM-Baseline's rules for lines, in its order (Li et al. 2024, appendix B; mlfoundations/dclm at 361714b).

Of three newlines or more in a row two stay. A line goes, with its line end, if more than half of its characters are
upper case, if all are digits, if it counts likes, views and the like ("3 likes"), or if it has a single word. "items
in cart", a final "read more..." and a leading "sign-in" go from lines of at most ten words, and the line with them if
nothing but white space is left. White space at both ends of the text goes. Empty lines stay.

Differences: the URLs that DCLM cuts from the text before all else stay; it strips the whole text after some of the
rules already, so that white space at the text's ends is not among the characters of what is its first line by then.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.edits.spans import cuts_array
from pipelines.text.characters import DIGIT, UPPER, classes, decoded
from pipelines.text.chunk_table import space_width
from pipelines.text.segments import I64, Segments
from pipelines.text.vocabulary import utf8

MAX_UPPER = 0.5  # of a line's characters
MIN_WORDS = 2  # of a line
MAX_BANNER_WORDS = 10  # of a line from which a banner is cut

COUNTED = (
    "likes",
    "shares",
    "comments",
    "retweets",
    "reposts",
    "quotes",
    "bookmarks",
    "upvotes",
    "downvotes",
    "downloads",
    "views",
    "followers",
)
BANNERS = ("items in cart", "read more", "sign-in")

REASONS = ("newlines", "uppercase", "numeric", "counter", "too_few_words", "banner", "white_space")
NEWLINES, UPPERCASE, NUMERIC, COUNTER, TOO_FEW_WORDS, BANNER, WHITE_SPACE = range(len(REASONS))
_KEPT = 255

_COUNTER = re.compile(rf"\W*\d[\d,.]*[kmb]?\s+(?:{'|'.join(COUNTED)})\W*")
# As there, a dot of "read more..." is any character, and one white space goes with a banner.
_BANNERS = tuple(re.compile(p, re.I) for p in (r"\s?items in cart", r"\s?read more...$", r"^sign-in\s?"))


def line_edits(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The edits of each text by these rules, of type EDITS."""
    data, bounds = utf8(texts)
    lines = Segments.split(data, bounds, newlines=1)
    why = np.full(len(lines.starts), _KEPT, np.uint8)
    counts = _judge(data, lines.starts, lines.ends, lines.offsets, classes(), why)
    for row in np.flatnonzero(lines.holding(COUNTED) & ~np.isin(why, (UPPERCASE, NUMERIC))).tolist():
        if _COUNTER.fullmatch(_line(lines, row).lower()):
            why[row] = COUNTER
    rows, starts, ends = _banners(lines, why, counts)
    stripped = lines.stripped()
    texts_of, cut_starts, cut_ends, reasons = _cuts(
        bounds, lines.starts, lines.ends, stripped.starts, stripped.ends, lines.offsets, why
    )
    text_of_line = np.searchsorted(lines.offsets, rows, side="right") - 1
    return _array(
        bounds,
        np.concatenate([texts_of, text_of_line]),
        np.concatenate([cut_starts, starts]),
        np.concatenate([cut_ends, ends]),
        np.concatenate([reasons, np.full(len(rows), BANNER, np.uint8)]),
    )


def _line(lines: Segments, row: int) -> str:
    return lines.data[lines.starts[row] : lines.ends[row]].tobytes().decode()


def _banners(lines: Segments, why: npt.NDArray[np.uint8], num_words: I64) -> tuple[I64, I64, I64]:
    """(line, start, end) of banners in lines that stay; lines of which nothing is left get their reason in `why`."""
    found: list[tuple[int, int, int]] = []
    for row in np.flatnonzero(lines.holding(BANNERS) & (why == _KEPT)).tolist():
        line = _line(lines, row)
        left = _places_left(line)
        if not left or "".join(line[place] for place in left).isspace():
            why[row] = BANNER
        elif len(left) < len(line):
            found += [(row, *span) for span in _gaps(line, left, int(lines.starts[row]))]
    rows, starts, ends = np.array(found, np.int64).reshape(-1, 3).T
    return rows, starts, ends


def _places_left(line: str) -> list[int]:
    """The places of the characters that no banner takes along, the banners taken one after the other."""
    left = list(range(len(line)))
    for banner in _BANNERS:
        if len(line.split()) <= MAX_BANNER_WORDS:
            gone = {place for match in banner.finditer(line) for place in range(*match.span())}
            left = [place for step, place in enumerate(left) if step not in gone]
            line = banner.sub("", line)
    return left


def _gaps(line: str, left: list[int], start: int) -> Iterator[tuple[int, int]]:
    """Stretches of bytes between the places that are left; the line begins at byte `start`."""
    edges = [-1, *left, len(line)]
    for before, after in pairwise(edges):
        if after > before + 1:
            yield start + len(line[: before + 1].encode()), start + len(line[:after].encode())


def _array(bounds: I64, texts: I64, starts: I64, ends: I64, reasons: npt.NDArray[np.uint8]) -> pa.Array:
    """Of spans in any order, by bytes of all texts, where those of one text may overlap at its ends."""
    order = np.lexsort((ends, starts, texts))
    texts, starts, ends, reasons = texts[order], starts[order], ends[order], reasons[order]
    # Spans of an earlier text end before those of a later one begin, so one running maximum serves all.
    behind = np.concatenate([np.zeros(1, np.int64), np.maximum.accumulate(ends)[:-1]]) if len(ends) else ends
    starts = np.maximum(starts, behind)
    some = ends > starts
    texts, starts, ends, reasons = texts[some], starts[some], ends[some], reasons[some]
    offsets = np.searchsorted(texts, np.arange(len(bounds))).astype(np.int64)
    return cuts_array(offsets, starts - bounds[texts], ends - bounds[texts], reasons, REASONS)


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True)
def _judge(data, starts, ends, offsets, classes, why):  # type: ignore[no-untyped-def]
    """Words of each line; reasons that need only its characters go to `why`."""
    counts = np.zeros(len(starts), np.int64)
    for text in range(len(offsets) - 1):
        for row in range(offsets[text], offsets[text + 1]):
            place, end = starts[row], ends[row]
            if place == end:
                if row > offsets[text] + 1 and starts[row - 1] == ends[row - 1]:  # not at the start: white space
                    why[row] = NEWLINES
                continue
            chars = upper = digits = words = 0
            in_word = False
            while place < end:
                space = space_width(data, place, end)
                if space:
                    place += space
                    in_word = False
                else:
                    code, width = decoded(data, place)
                    kind = classes[code]
                    upper += kind & UPPER > 0
                    digits += kind & DIGIT > 0
                    words += not in_word
                    in_word = True
                    place += width
                chars += 1
            counts[row] = words
            if upper > MAX_UPPER * chars:
                why[row] = UPPERCASE
            elif digits == chars:
                why[row] = NUMERIC
            elif words < MIN_WORDS:
                why[row] = TOO_FEW_WORDS
    return counts


@numba.njit(cache=True)
def _cuts(bounds, starts, ends, stripped_starts, stripped_ends, offsets, why):  # type: ignore[no-untyped-def]
    """(text, start, end, reason) of the lines that go and of white space at the ends of each text."""
    most = len(starts) + 2 * (len(offsets) - 1)
    texts, froms = np.empty(most, np.int64), np.empty(most, np.int64)
    tos, reasons = np.empty(most, np.int64), np.empty(most, np.uint8)
    count = 0
    for text in range(len(offsets) - 1):
        first = last = -1
        for row in range(offsets[text], offsets[text + 1]):
            if why[row] == _KEPT and stripped_ends[row] > stripped_starts[row]:
                first = row if first < 0 else first
                last = row
        for row in range(offsets[text], offsets[text + 1]):
            behind = starts[row + 1] if row + 1 < offsets[text + 1] else bounds[text + 1]
            if why[row] != _KEPT or row < first or row > last:
                texts[count], froms[count], tos[count] = text, starts[row], behind
                reasons[count] = why[row] if why[row] != _KEPT else WHITE_SPACE
                count += 1
                continue
            if row == first:
                texts[count], froms[count], tos[count] = text, starts[row], stripped_starts[row]
                reasons[count] = WHITE_SPACE
                count += 1
            if row == last:
                texts[count], froms[count], tos[count] = text, stripped_ends[row], behind
                reasons[count] = WHITE_SPACE
                count += 1
    return texts[:count], froms[:count], tos[:count], reasons[:count]
