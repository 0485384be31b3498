"""What kinds of characters stand in UTF-8 bytes, for compiled loops."""

import unicodedata
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

# Bits of a code point, the first four by the predicates of `str`.
ALPHA, ALNUM, UPPER, DIGIT, ALPHABETIC = 1, 2, 4, 8, 16

_LAST = 0x34000  # behind it are private characters and such without a class
_CIRCLED = ((0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))


@cache
def classes() -> Bytes:
    """The bits of every code point, uint8 [0x110000]; a tenth of a second once per process.

    ALPHABETIC is Unicode's property but for vowel signs, which have it and stand behind a letter that has it, too.
    """
    found = np.zeros(0x110000, np.uint8)
    for code in range(_LAST):
        character = chr(code)
        alpha = character.isalpha()
        found[code] = (
            ALPHA * alpha
            | ALNUM * character.isalnum()
            | UPPER * character.isupper()
            | DIGIT * character.isdigit()
            | ALPHABETIC * (alpha or unicodedata.category(character) == "Nl")
        )
    for first, last in _CIRCLED:
        found[first : last + 1] |= ALPHABETIC
    found.flags.writeable = False
    return found


@numba.njit(cache=True)
def decoded(data, place):  # type: ignore[no-untyped-def]
    """(code point, bytes) of the character that begins at `place`."""
    byte = np.int64(data[place])
    if byte < 0x80:
        return byte, 1
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | np.int64(data[place + 1]) & 0x3F, 2
    if byte < 0xF0:
        return (byte & 0x0F) << 12 | (np.int64(data[place + 1]) & 0x3F) << 6 | np.int64(data[place + 2]) & 0x3F, 3
    high = (byte & 0x07) << 18 | (np.int64(data[place + 1]) & 0x3F) << 12
    return high | (np.int64(data[place + 2]) & 0x3F) << 6 | np.int64(data[place + 3]) & 0x3F, 4


@numba.njit(cache=True)
def num_chars(data, starts, ends):  # type: ignore[no-untyped-def]
    """int64 [stretches]: characters that begin in each stretch of bytes."""
    found = np.zeros(len(starts), np.int64)
    for row in range(len(starts)):
        count = 0
        for place in range(starts[row], ends[row]):
            count += data[place] & 0xC0 != 0x80
        found[row] = count
    return found


def marks(words: tuple[str, ...]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """(data, offsets) of words as UTF-8, which compiled code compares with a text's bytes."""
    data = [word.encode() for word in words]
    offsets = np.cumsum([0, *map(len, data)], dtype=np.int64)
    return np.frombuffer(b"".join(data), np.uint8), offsets
