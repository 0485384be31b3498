"""What the compiled editors ask of a character: a byte of bits for each code point, as Python's `str` answers.

Tables are worked out once a process, in about a tenth of a second.
"""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.text.chunk_marks import UNSPACED_LETTER, UNSPACED_MARK
from pipelines.text.vocabulary import utf8
from pipelines.text.words import TERMINAL_MARKS

SPACE, BREAK, DIGIT, LETTER, MARK, CONTENT, TERMINAL, CLOSING = 1, 2, 4, 8, 16, 32, 64, 128

BREAKS = "\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029"  # those of str.splitlines


def text_bytes(texts: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """`vocabulary.utf8`, read only whatever the buffer: compiled code is compiled anew for arrays that are not."""
    data, bounds = utf8(texts)
    data.flags.writeable = False
    return data, bounds


@cache
def classes() -> npt.NDArray[np.uint8]:
    """Bits of every code point.

    SPACE: str.isspace. BREAK: ends a line for str.splitlines. DIGIT: str.isdecimal. LETTER and MARK: of a script
    without spaces (chunks.UNSPACED). CONTENT: a letter, number or mark, or a pictograph. TERMINAL: ends a sentence.
    CLOSING: punctuation that may stand between that mark and the next sentence.
    """
    table = np.zeros(0x110000, np.uint8)
    for code in (*range(0x20000), *range(0xE0000, 0xE0200)):
        category = unicodedata.category(chr(code))
        table[code] = (
            SPACE * chr(code).isspace()
            | DIGIT * (category == "Nd")
            | CONTENT * (category[0] in "LNM" or (category == "So" and not 0x2500 <= code < 0x2600))
            | CLOSING * (category[0] == "P")
            | LETTER * bool(UNSPACED_LETTER.match(chr(code)))
            | MARK * bool(UNSPACED_MARK.match(chr(code)))
        )
    table[0x20000:0x40000] = CONTENT | LETTER  # ideographs
    for marks, bit in ((BREAKS, BREAK), (TERMINAL_MARKS, TERMINAL)):
        table[[ord(mark) for mark in marks]] |= bit
    return table
