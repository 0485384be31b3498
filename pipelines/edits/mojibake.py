"""Mojibake: text that was decoded with the wrong charset, repaired by ftfy, as spans of the words that change.

ftfy's fixes of encoding are on: UTF-8 read as a one-byte charset, also where a no-break space became a space
(`restore_byte_a0`) or bytes were lost to U+FFFD (`replace_lossy_sequences`), also of single words
(`decode_inconsistent_utf8`), C1 controls that meant Windows-1252, surrogates, and the removal of control
characters and terminal escapes. Off is all that rewrites text which is no accident: normalisation (no NFC, no
NFKC), straight quotes, ligatures, wide characters, line breaks, and entities like `&amp;`, which extraction
decoded once and which stand in a text that speaks of HTML (datatrove's FTFYFormatter decodes them again).

ftfy reads about a megabyte a second, so it only sees lines in which a compiled pass finds what it could change: a
control character, or the beginning of a misread UTF-8 sequence, in any of the charsets that ftfy knows.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.edits.characters import text_bytes
from pipelines.edits.spans import Span, spans_array
from pipelines.text.characters import decoded

MOJIBAKE = "mojibake"

_LEAD, _CONTINUATION, _LEAD_SPACE, _ALONE = 1, 2, 4, 8
_SPACED_LEADS = b"\xc2\xc3\xc5\xce\xd0\xd9\xe2\xe3\xf0"  # after which ftfy takes a space for a no-break space
_TOKEN = re.compile(r"[ \t\n]+|[^ \t\n]+")


def repairs(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The edits that repair the texts, of type EDITS, a span for each word or run of words that changes."""
    data, bounds = text_bytes(texts)
    found: list[list[Span]] = [[] for _ in range(len(bounds) - 1)]
    for row, start, end in _suspicious_lines(data, bounds, _classes()):
        line = bytes(data[start:end]).decode()
        fixed = _fixed(line)
        if fixed != line:
            found[row] += _changes(line, fixed, start - int(bounds[row]))
    return spans_array(found)


def _fixed(line: str) -> str:
    import ftfy

    return ftfy.fix_text(line, _config())


@cache
def _config() -> Any:
    from ftfy import TextFixerConfig

    return TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=True,
        fix_encoding=True,
        restore_byte_a0=True,
        replace_lossy_sequences=True,
        decode_inconsistent_utf8=True,
        fix_c1_controls=True,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        fix_surrogates=True,
        remove_control_chars=True,
        normalization=None,
    )


def _changes(old: str, new: str, place: int) -> Iterator[Span]:
    """Spans from a line at byte `place` to its repair: word by word where the words pair up, else one span."""
    olds, news = _TOKEN.findall(old), _TOKEN.findall(new)
    if len(olds) != len(news):
        olds, news = [old], [new]
    for before, after in zip(olds, news, strict=True):
        if before != after:
            head = _common(before, after)
            tail = _common(before[head:][::-1], after[head:][::-1])
            start = place + len(before[:head].encode())
            end = start + len(before[head : len(before) - tail].encode())
            yield Span(start, end, after[head : len(after) - tail], MOJIBAKE)
        place += len(before.encode())


def _common(left: str, right: str) -> int:
    """Characters that both begin with."""
    return next((place for place, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]),
                min(len(left), len(right)))  # fmt: skip


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """What each code point may be of a misread sequence."""
    from ftfy.chardata import C1_CONTROL_RE, CHARMAP_ENCODINGS, CONTROL_CHARS

    table = np.zeros(0x110000, np.uint8)
    for charset in CHARMAP_ENCODINGS:
        for raw, bit in (
            (bytes(range(0xC0, 0xF5)), _LEAD),
            (bytes(range(0x80, 0xC0)), _CONTINUATION),
            (_SPACED_LEADS, _LEAD_SPACE),
        ):
            table[[ord(letter) for letter in raw.decode(charset)]] |= bit
    table[0xFFFD] |= _CONTINUATION
    table[[*CONTROL_CHARS, 0x1B, *(code for code in range(0x80, 0xA0) if C1_CONTROL_RE.match(chr(code)))]] |= _ALONE
    return table


@numba.njit(cache=True)
def _suspicious_lines(data, bounds, classes):  # type: ignore[no-untyped-def]
    """(row, start, end) of lines that hold what ftfy could change; places in `data`."""
    found = [(np.int64(0), np.int64(0), np.int64(0)) for _ in range(0)]
    for row in range(len(bounds) - 1):
        place, stop = bounds[row], bounds[row + 1]
        line, suspicious, last = place, False, np.uint8(0)
        while place < stop:
            byte = data[place]
            if byte == 0x0A:
                if suspicious:
                    found.append((np.int64(row), line, place + 1))
                place += 1
                line, suspicious, last = place, False, np.uint8(0)
                continue
            if byte < 0x80:
                suspicious |= classes[byte] & _ALONE != 0
                suspicious |= (last & _LEAD_SPACE != 0 and byte == 0x20) or (last & _LEAD != 0 and byte == 0x3F)
                last = np.uint8(0)
                place += 1
                continue
            code, width = decoded(data, place)
            bits = classes[code]
            suspicious |= bits & _ALONE != 0 or (last & _LEAD != 0 and bits & _CONTINUATION != 0)
            last = bits
            place += width
        if suspicious:
            found.append((np.int64(row), line, stop))
    return found
