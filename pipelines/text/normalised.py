"""Normalised words and characters of texts as 64-bit hashes, straight from UTF-8 bytes: what MinHash shingles are of.

The answer is that of `words.normalised_words` and `words.exact_chunk`, word for word. Every code point is looked up
in one table (what stands for it, whether it parts words, is a digit, or a letter of a script without spaces), which
is filled in Python for the code points that a text is the first to have.
"""

import numba
import numpy as np
import numpy.typing as npt

from pipelines.text.chunk_marks import UNSPACED_LETTER, UNSPACED_MARK
from pipelines.text.words import NORMAL, NUMBER_MARKS

I32 = npt.NDArray[np.int32]

# What stands for a code point: a code point with flags, or one of these.
_UNKNOWN, _BREAK, _DROPPED, _NUMBER_MARK, _MET = 0, -1, -2, -3, -4
_LETTER, _MARK, _DIGIT = 1 << 24, 1 << 25, 1 << 26  # of a script without spaces; any decimal digit
_SEVERAL = 1 << 30  # followed by place and number of the items in `items`
_PLAIN = 1 << 24  # smaller values are code points without flags
_ZERO = ord("0")


class CodePoints:
    """The table of code points; one per process. `standing` and `items` are what the compiled functions take."""

    def __init__(self) -> None:
        self.standing: I32 = np.zeros(0x110000, np.int32)
        self.items: I32 = np.zeros(1, np.int32)

    def learn(self, data: npt.NDArray[np.uint8], begin: int, end: int) -> None:
        """Fill in the code points of the text `data[begin:end]` that were never met before."""
        met = np.empty(end - begin, np.uint32)
        several: list[int] = []
        for code in met[: _unknown(data, begin, end, self.standing, met)].tolist():
            found = [_item(kept) for low in chr(code).lower() for kept in NORMAL[ord(low)]]
            if chr(code) in NUMBER_MARKS:
                found = [_NUMBER_MARK]
            if len(found) > 1:
                self.standing[code] = _SEVERAL | (len(self.items) + len(several)) << 4 | len(found)
                several += found
            else:
                self.standing[code] = found[0] if found else _DROPPED
        self.items = np.append(self.items, np.array(several, np.int32))


def _item(kept: str) -> int:
    flags = _LETTER * bool(UNSPACED_LETTER.match(kept)) | _MARK * bool(UNSPACED_MARK.match(kept))
    return _BREAK if kept == " " else ord(kept) | flags | _DIGIT * kept.isdecimal()


CODE_POINTS = CodePoints()

# ---------------------------------------------------------------------------------------------------------
# Compiled

# Places are unsigned: a signed index is tested for being negative at every byte.
_ONE = np.uint64(1)
_SIX, _LOW3, _LOW4, _LOW5 = np.uint32(6), np.uint32(0x07), np.uint32(0x0F), np.uint32(0x1F)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SEED = np.uint64(0x2545F4914F6CDD1D)


@numba.njit(cache=True, inline="always")
def mixed(x):  # type: ignore[no-untyped-def]
    """A bijection of 64 bits that spreads every bit over all (splitmix64's finaliser)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True, inline="always")
def _decoded(data, place, end):  # type: ignore[no-untyped-def]
    """(code point, bytes) at `place`; bytes that are no UTF-8 give some code point, and none behind `end` is read."""
    byte = np.uint32(data[place])
    if byte < 0x80:
        return byte, _ONE
    if byte < 0xE0 and place + _ONE < end:
        return (byte & _LOW5) << _SIX | _low6(data, place + _ONE), np.uint64(2)
    if byte < 0xF0 and place + np.uint64(2) < end:
        high = (byte & _LOW4) << _SIX | _low6(data, place + _ONE)
        return high << _SIX | _low6(data, place + np.uint64(2)), np.uint64(3)
    if place + np.uint64(3) < end:
        high = (byte & _LOW3) << _SIX | _low6(data, place + _ONE)
        code = (high << _SIX | _low6(data, place + np.uint64(2))) << _SIX | _low6(data, place + np.uint64(3))
        return min(np.uint32(code), np.uint32(0x10FFFF)), np.uint64(4)
    return np.uint32(0), _ONE


@numba.njit(cache=True, inline="always")
def _low6(data, place):  # type: ignore[no-untyped-def]
    return np.uint32(data[place] & np.uint8(0x3F))


@numba.njit(cache=True)
def word_hashes(data, begin, end, standing, items, exact, found):  # type: ignore[no-untyped-def]
    """Write a hash for each word of the text to `found` and return their number; `exact` keeps the digits.

    -1 where the table does not know one of its code points: `learn` it first. A text has at most one word a byte.
    """
    count = 0
    hashed = _SEED
    within = 0  # 1 in a word, 2 in a character of a script without spaces
    number = 0  # 1 in the digits before a number's mark, 2 in those after it
    place, end = np.uint64(begin), np.uint64(end)
    while place < end:
        code, width = _decoded(data, place, end)
        place += width
        value = standing[code]
        if 0 < value < _PLAIN:
            if within == 2:
                found[count] = mixed(hashed)
                count += 1
                hashed = _SEED
            hashed = (hashed ^ np.uint64(value)) * _FACTOR
            within = 1
            number = 0
            continue
        if value == _UNKNOWN:
            return -1
        if _is_digit(value) and not exact:
            if number:
                continue
            number = 1
            value = _ZERO
        elif value == _NUMBER_MARK and number == 1 and place < end and not exact:
            following, _ = _decoded(data, place, end)
            if standing[following] == _UNKNOWN:
                return -1
            number = 2 if _is_digit(standing[following]) else 0
            if number:
                continue
        else:
            number = 0
        first, last = 0, 1
        if value >= _SEVERAL:
            first = (value & (_SEVERAL - 1)) >> 4
            last = first + (value & 15)
        for step in range(first, last):
            item = items[step] if value >= _SEVERAL else value
            if item == _DROPPED:
                continue
            marks_letter = within == 2 and item > 0 and item & _MARK
            if within and (item < 0 or item & _LETTER or (within == 2 and not marks_letter)):
                found[count] = mixed(hashed)
                count += 1
                hashed = _SEED
                within = 0
            if item > 0:
                hashed = (hashed ^ np.uint64(item & (_LETTER - 1))) * _FACTOR
                within = 2 if item & _LETTER or marks_letter else 1
    if within:
        found[count] = mixed(hashed)
        count += 1
    return count


@numba.njit(cache=True, inline="always")
def _is_digit(value):  # type: ignore[no-untyped-def]
    return 0 < value < _SEVERAL and value & _DIGIT != 0


@numba.njit(cache=True)
def characters(data, begin, end, found):  # type: ignore[no-untyped-def]
    """Write the code points of the text, as they are, to `found` and return their number."""
    count = 0
    place, end = np.uint64(begin), np.uint64(end)
    while place < end:
        code, width = _decoded(data, place, end)
        found[count] = np.uint64(code)
        count += 1
        place += width
    return count


@numba.njit(cache=True)
def _unknown(data, begin, end, standing, found):  # type: ignore[no-untyped-def]
    """Write each unknown code point of the text to `found`, once, and return their number."""
    count = 0
    place, end = np.uint64(begin), np.uint64(end)
    while place < end:
        code, width = _decoded(data, place, end)
        place += width
        if standing[code] == _UNKNOWN:
            standing[code] = _MET
            found[count] = code
            count += 1
    return count
