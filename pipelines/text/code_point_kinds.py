"""What the rules of words ask of a character, as bits of its code point, for compiled loops.

The table is filled in Python for the code points that are met first; one per process.
"""

import re
import unicodedata

import numba
import numpy as np
import numpy.typing as npt

from pipelines.text.characters import decoded
from pipelines.text.chunk_marks import (
    BEFORE_A_STOP,
    CURRENCY,
    EDGE_MARKS,
    INNER_MARKS,
    LETTER,
    QUOTES,
    START_MARKS,
    UNSPACED_LETTER,
    UNSPACED_MARK,
    WIDE_MARKS,
)
from pipelines.text.words import ALPHA, NON_SYMBOL, PUNCTUATION, TERMINAL, word_kind

U32 = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]

# The four bits of `word_kind` of the character as a word, and these.
KNOWN, IS_LETTER, IS_UPPER, IS_LOWER = 1 << 4, 1 << 5, 1 << 6, 1 << 7
EDGE, START, STOPPED, QUOTE = 1 << 8, 1 << 9, 1 << 10, 1 << 11  # chunk_marks' sets; symbols stand in START, too
SYMBOL, MONEY, INNER, DIGIT = 1 << 12, 1 << 13, 1 << 14, 1 << 15
UNSPACED, CARRIED, WIDE = 1 << 16, 1 << 17, 1 << 18  # letters of scripts without spaces, their marks, wide punctuation

KINDS: U32 = np.zeros(0x110000, np.uint32)

_WIDE = re.compile(f"[{WIDE_MARKS}]")


def learn(data: Bytes, begin: int, end: int) -> None:
    """Fill in the code points of the UTF-8 text `data[begin:end]`."""
    met = np.empty(max(1, end - begin), np.int32)
    for code in met[: _unknown(data, begin, end, KINDS, met)].tolist():
        KINDS[code] = _kinds(chr(code))


def _kinds(character: str) -> int:
    ascii_ = character.isascii()
    symbol = not ascii_ and unicodedata.category(character) == "So"
    bits = {
        IS_LETTER: character.isalpha() if ascii_ else LETTER.match(character),
        IS_UPPER: character.isupper(),
        IS_LOWER: character.islower(),
        EDGE: character in EDGE_MARKS,
        START: character in START_MARKS or symbol,
        STOPPED: character in BEFORE_A_STOP,
        QUOTE: character in QUOTES,
        SYMBOL: symbol,
        MONEY: character in CURRENCY,
        INNER: character in INNER_MARKS,
        UNSPACED: UNSPACED_LETTER.match(character),
        CARRIED: UNSPACED_MARK.match(character),
        WIDE: _WIDE.match(character),
        DIGIT: ascii_ and character.isdigit(),
    }
    return word_kind(character) | KNOWN | sum(bit for bit, holds in bits.items() if holds)


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True)
def _unknown(data, begin, end, kinds, found):  # type: ignore[no-untyped-def]
    """Write each code point without a kind to `found`, once, and return their number."""
    count, place = 0, begin
    while place < end:
        code, width = decoded(data, place)
        place += width
        if kinds[code] == 0:
            kinds[code] = KNOWN
            found[count] = code
            count += 1
    return count


@numba.njit(cache=True)
def word_kinds(data, ends, first, last, kinds, found):  # type: ignore[no-untyped-def]
    """Write `word_kind` of the strings `first` to `last` of a `chunk_table.Table` to `found`."""
    begin = ends[first - 1] if first else 0
    for number in range(first, last):
        place, end = begin, ends[number] - 1
        some, every, count = 0, PUNCTUATION, 0
        while place < end:
            code, width = decoded(data, place)
            place += width
            count += 1
            some |= kinds[code]
            every &= kinds[code]
        some &= NON_SYMBOL | ALPHA | (TERMINAL if count == 1 else 0)
        found[number - first] = some | every
        begin = ends[number]
