"""Texts cut into the units that may repeat in other documents: lines, paragraphs, runs of sentences, runs of words.

A unit is a hash and a stretch of bytes, from its first character to that of the next unit, so that a cut leaves what
stands before and after as it was. Lines, paragraphs and sentences are compared as MinHash compares words: lower case,
numbers as 0, without punctuation and diacritics. Runs of words are compared as they stand.

A sentence ends at a terminal mark of any script and the closing marks behind it, before white space (in scripts
without spaces, before anything), so it goes on over lines that end in none. `sentences` of them in a row are a unit,
at every sentence, as in C4 (Raffel et al. 2020) and datatrove's SentenceDedup. Its sentences are spaCy's, which know
more abbreviations, so runs of under `min_words` words stay here ("[Op. Cit., p. 204]").

Runs of words are windows that their own words choose (pipelines/duplicates/windows.py).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.duplicates.windows import windows
from pipelines.edits.characters import BREAK, CLOSING, LETTER, MARK, SPACE, TERMINAL, classes, text_bytes
from pipelines.settings import Repeats
from pipelines.text.characters import decoded
from pipelines.text.words import NORMAL

KINDS = ("lines", "paragraphs", "sentences", "spans")
LINES, PARAGRAPHS, SENTENCES, SPANS = range(len(KINDS))

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Units:
    """Units of some texts, text by text for each kind; places are bytes of the text."""

    texts: I64
    hashes: U64
    starts: I64
    ends: I64
    kinds: npt.NDArray[np.uint8]


def units(texts: pa.Array, settings: Repeats) -> Units:
    """All units of the kinds that the settings name."""
    data, bounds = text_bytes(texts)
    found = []
    for kind in sorted(map(KINDS.index, settings.units)):
        if kind == SPANS:
            columns = windows(data, bounds, classes(), settings.span_words)
        else:
            columns = _chosen(_segments(data, bounds, classes(), _folded(), kind), kind, settings)
        found.append((*columns, np.full(len(columns[0]), kind, np.uint8)))
    empty = np.empty(0, np.int64)
    none = (empty, empty.astype(np.uint64), empty, empty, empty.astype(np.uint8))
    return Units(*(np.concatenate(column) for column in zip(none, *found, strict=True)))


def sizes(texts: pa.Array) -> tuple[I64, I64]:
    """(words, sentences) of each text; a character of a script without spaces is a word."""
    data, bounds = text_bytes(texts)
    count = len(bounds) - 1
    rows, _, _, _, words = _segments(data, bounds, classes(), _folded(), SENTENCES)
    return _count_words(data, bounds, classes()), np.bincount(rows[words > 0], minlength=count).astype(np.int64)


def _chosen(segments: tuple[Any, ...], kind: int, settings: Repeats) -> tuple[Any, ...]:
    """(rows, hashes, starts, ends) of the units among segments: those of enough words, or each with its followers."""
    rows, hashes, starts, ends, words = segments
    if kind != SENTENCES:
        long = words >= max(1, settings.min_words)
        return rows[long], hashes[long], starts[long], ends[long]
    width = settings.sentences
    first = np.arange(max(0, len(rows) - width + 1))
    last = first + width - 1
    held = np.concatenate([[0], np.cumsum(words)])
    whole = (rows[first] == rows[last]) & (held[last + 1] - held[first] >= max(1, settings.min_words))
    first, last = first[whole], last[whole]
    joined = np.zeros(len(first), np.uint64)
    for step in range(width):
        joined = (joined ^ hashes[first + step]) * _FACTOR
        joined ^= joined >> np.uint64(29)
    return rows[first], joined, starts[first], ends[last]


@cache
def _folded() -> npt.NDArray[np.int32]:
    """What stands for each code point: 0 for nothing, 1 between words, else a code point, "0" for every digit."""
    table = np.arange(0x110000, dtype=np.int32)
    for code in (*range(0x20000), *range(0xE0000, 0xE0200)):
        kept = "".join(NORMAL[ord(low)] for low in chr(code).lower())
        if kept.strip() != kept or chr(code).isspace():
            table[code] = 1
        elif not kept:
            table[code] = 0
        elif kept.isdecimal():
            table[code] = ord("0")
        elif len(kept) == 1:
            table[code] = ord(kept)
    return table


# ---------------------------------------------------------------------------------------------------------
# Compiled

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@numba.njit(cache=True)
def _segments(data, bounds, classes, folded, kind):  # type: ignore[no-untyped-def]
    """(rows, hashes, starts, ends, words) of stretches that tile each text."""
    rows = [np.int64(0) for _ in range(0)]
    hashes = [np.uint64(0) for _ in range(0)]
    starts, words = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    ends = [np.int64(0) for _ in range(0)]
    for row in range(len(bounds) - 1):
        begin, stop = bounds[row], bounds[row + 1]
        place, start = begin, begin
        hashed, num_words, in_word, unspaced, number = np.uint64(kind + 1), 0, False, False, 0
        newlines, terminal, pending = 0, False, False
        chunk, opens = np.int64(-1), False  # where white space ended, and whether only quotes and the like stand since
        while place < stop:
            code, width = decoded(data, place)
            bits = classes[code]
            if bits & SPACE:
                chunk = np.int64(-1)
                if bits & BREAK:
                    newlines += 1
                    if code == 0x0D and place + 1 < stop and data[place + 1] == 0x0A:
                        width = 2
                # One newline ends a line, two a paragraph.
                pending = pending or (terminal if kind == SENTENCES else newlines > kind - LINES)
            else:
                if chunk < 0:
                    chunk, opens = place, True
                plain = not bits & (CLOSING | TERMINAL)
                if pending and (plain or kind != SENTENCES) and place > start:
                    end = chunk if opens and chunk > start else place
                    rows.append(np.int64(row))
                    hashes.append(hashed)
                    starts.append(start - begin)
                    ends.append(end - begin)
                    words.append(np.int64(num_words))
                    start = end
                    hashed, num_words, in_word, unspaced, number = np.uint64(kind + 1), 0, False, False, 0
                if plain or kind != SENTENCES:
                    pending, terminal = False, False
                if bits & TERMINAL:
                    opens, terminal = False, True
                    pending = pending or (kind == SENTENCES and code >= 0x80)
                newlines = 0
            item = folded[code]
            if item == 1:
                if number == 1 and _is_number_mark(code) and _digit_follows(data, place + width, stop, folded):
                    number = 2  # behind the point of a number
                else:
                    in_word, unspaced, number = False, False, 0
            elif item > 1:
                if not (number and item == 0x30):
                    mark = unspaced and bits & MARK
                    if not (in_word or mark) or bits & LETTER:
                        hashed = (hashed ^ np.uint64(1)) * _FACTOR
                        num_words += 1
                    hashed = (hashed ^ np.uint64(item)) * _FACTOR
                    hashed ^= hashed >> _SHIFT
                    unspaced = bits & LETTER != 0 or mark != 0
                    in_word = not unspaced
                number = max(1, number) if item == 0x30 else 0
            place += width
        if place > start:
            rows.append(np.int64(row))
            hashes.append(hashed)
            starts.append(start - begin)
            ends.append(stop - begin)
            words.append(np.int64(num_words))
    return np.array(rows), np.array(hashes), np.array(starts), np.array(ends), np.array(words)


@numba.njit(cache=True)
def _is_number_mark(code):  # type: ignore[no-untyped-def]
    return code == 0x2E or code == 0x2C or code == 0x60C or code == 0x66B


@numba.njit(cache=True)
def _digit_follows(data, place, stop, folded):  # type: ignore[no-untyped-def]
    if place >= stop:
        return False
    code, _ = decoded(data, place)
    return folded[code] == 0x30


@numba.njit(cache=True)
def _count_words(data, bounds, classes):  # type: ignore[no-untyped-def]
    found = np.zeros(len(bounds) - 1, np.int64)
    for row in range(len(bounds) - 1):
        place, stop, in_word = bounds[row], bounds[row + 1], False
        while place < stop:
            code, width = decoded(data, place)
            bits = classes[code]
            if bits & SPACE:
                in_word = False
            elif bits & LETTER:
                found[row] += 1
                in_word = False
            elif not in_word and not bits & MARK:
                found[row] += 1
                in_word = True
            place += width
    return found
