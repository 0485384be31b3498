"""Raw values of NeMo Curator's English heuristics, each as its filter of version 1.4 scores a text.

Lines are those between newlines that hold more than white space, paragraphs what stands between pairs of newlines,
words what stands between white space. Where a filter there divides by zero (a text without words or lines), the value
here is the one that its rule drops, or 0.

Differ on purpose: of several commonest n-grams the first is taken, where Curator takes one by the order of a Python
set of strings, which changes from run to run; `curator_common_words` counts on behind 2; three of its consent notices
of 100 words are not among the boilerplate.
"""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.quality.ngrams import ngram_firsts, top_places
from pipelines.quality.word_counts import word_counts
from pipelines.text.characters import Bytes, decoded, num_chars
from pipelines.text.segments import I64, Segments, ratio
from pipelines.text.vocabulary import Vocabulary, utf8

TOP_SIZES = (2, 3, 4)
DUP_SIZES = (5, 6, 7, 8, 9, 10)

END_MARKS = (".", "?", "!", '"', "'")
LINE_ELLIPSES = ("...", "[...]", "\u2026", "(...)", "[\u2026]", "-\u00bb", "read more..", "read more")
BULLETS = tuple("\u2022\u2023\u2043\u204c\u204d\u2219\u25cb\u25cf\u25d8\u25e6\u29be\u29bf")
POLICIES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "privacy overview",
    "use of cookies",
    "use cookies",
    "privacy & cookies policy",
    "privacy and cookies policy",
)
FILLER = ("lorem ipsum",)

_INTEGERS = ("curator_words", "curator_common_words", "curator_longest_word")
_SHARES = (
    "curator_non_alpha_numeric",
    "curator_symbol_words",
    "curator_numbers",
    "curator_urls",
    "curator_white_space",
    "curator_parentheses",
    "curator_boilerplate",
    "curator_distinct_lines",
    "curator_distinct_paragraphs",
    "curator_distinct_line_chars",
    "curator_distinct_paragraph_chars",
    "curator_lines_without_end",
    "curator_alphabetic_words",
    "curator_mean_word_length",
    "curator_ellipsis_lines",
    *(f"curator_top_{n}gram" for n in TOP_SIZES),
    *(f"curator_dup_{n}gram" for n in DUP_SIZES),
    "curator_bullet_lines",
)

SIGNALS = pa.schema(
    [pa.field(name, pa.int32(), nullable=False) for name in _INTEGERS]
    + [pa.field(name, pa.float64(), nullable=False) for name in _SHARES]
)

Columns = dict[str, npt.NDArray[np.generic]]


def signals(texts: pa.Array, vocabulary: Vocabulary) -> pa.Table:
    """A row for each text (string or large_string), columns of SIGNALS, no nulls."""
    data, bounds = utf8(texts)
    chars = np.asarray(num_chars(data, bounds[:-1], bounds[1:]))
    found = {
        **_of_characters(data, bounds, chars),
        **_of_segments(data, bounds),
        **_of_words(data, bounds),
        **_of_ngrams(texts, data, bounds, chars, vocabulary),
    }
    return pa.table([pa.array(found[field.name], field.type) for field in SIGNALS], schema=SIGNALS)


def _of_characters(data: Bytes, bounds: I64, chars: I64) -> Columns:
    found = np.zeros((5, len(chars)), np.int64)
    _count_characters(data, bounds, _ASCII, found)
    names = ("non_alpha_numeric", "white_space", "parentheses", "numbers", "urls")
    found[0] = chars - found[0]
    return {f"curator_{name}": ratio(values, chars, none=1.0) for name, values in zip(names, found, strict=True)}


def _of_segments(data: Bytes, bounds: I64) -> Columns:
    every_line = Segments.split(data, bounds, newlines=1)
    filled = every_line.stripped().filled
    lines = every_line.where(filled)
    stripped = lines.stripped()
    paragraphs = Segments.split(data, bounds, newlines=2)
    boilerplate = paragraphs.share(paragraphs.holding(POLICIES))
    boilerplate[paragraphs.sums(paragraphs.holding(FILLER)) > 0] = 1.0
    return {
        "curator_boilerplate": boilerplate,
        "curator_distinct_lines": ratio(lines.sums(~lines.repeated), lines.counts),
        "curator_distinct_line_chars": ratio(lines.sums(lines.chars * ~lines.repeated), lines.sums(lines.chars)),
        "curator_distinct_paragraphs": ratio(paragraphs.sums(~paragraphs.repeated), paragraphs.counts),
        "curator_distinct_paragraph_chars": ratio(
            paragraphs.sums(paragraphs.chars * ~paragraphs.repeated), paragraphs.sums(paragraphs.chars)
        ),
        "curator_lines_without_end": ratio(lines.sums(~stripped.ending(END_MARKS)), lines.counts, none=1.0),
        "curator_ellipsis_lines": stripped.share(stripped.ending(LINE_ELLIPSES)),
        "curator_bullet_lines": stripped.share(stripped.starting(BULLETS)),
    }


def _of_words(data: Bytes, bounds: I64) -> Columns:
    found = word_counts(data, bounds)
    return {
        "curator_words": found.words,
        "curator_common_words": found.stops,
        "curator_longest_word": found.longest,
        "curator_symbol_words": ratio(found.symbols, found.words, none=1.0),
        "curator_alphabetic_words": ratio(found.alphabetic, found.words),
        "curator_mean_word_length": ratio(found.chars, found.words),
    }


def _of_ngrams(texts: pa.Array, data: Bytes, bounds: I64, chars: I64, vocabulary: Vocabulary) -> Columns:
    """A text of fewer than n words scores 1: its rule drops it."""
    chunks = vocabulary.read(texts)
    lengths = vocabulary.chars[chunks.numbers]
    num_words = np.diff(chunks.offsets)
    starts = chunks.starts + np.repeat(bounds[:-1], num_words)
    found: Columns = {}
    for n, firsts, counts in ngram_firsts(chunks.numbers, chunks.offsets, max(DUP_SIZES)):
        if n in TOP_SIZES:
            places = top_places(firsts, counts, chunks.offsets, n)
            removed = _removed_chars(data, bounds, starts, lengths, places, n)
            name = f"curator_top_{n}gram"
        else:
            removed = _repeated_chars(firsts, lengths, chunks.offsets, n)
            name = f"curator_dup_{n}gram"
        if n in TOP_SIZES or n in DUP_SIZES:
            found[name] = np.where(num_words < n, 1.0, ratio(removed, chars, none=1.0))
    return found


# ---------------------------------------------------------------------------------------------------------
# Compiled

_KEPT, _SPACE, _BRACKET, _URL = 1, 2, 4, 8
_ASCII = np.zeros(128, np.uint8)
_ASCII[[*b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\n?!,."]] |= _KEPT
_ASCII[[*b"\t\n\r\b "]] |= _SPACE
_ASCII[[*b"{}[]()"]] |= _BRACKET
_ASCII[[*b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$-_@.&+/:=?#~!*(),"]] |= _URL


@numba.njit(cache=True)
def _count_characters(data, bounds, ascii_kinds, found):  # type: ignore[no-untyped-def]
    for text in range(len(bounds) - 1):
        kept = spaces = brackets = digits = urls = 0
        place, end = bounds[text], bounds[text + 1]
        url_end = place
        while place < end:
            byte = data[place]
            if byte < 0x80:
                kind = ascii_kinds[byte]
                kept += kind & _KEPT > 0
                spaces += kind & _SPACE > 0
                brackets += kind & _BRACKET > 0
                digits += 48 <= byte <= 57
                if byte == 104 and place >= url_end:  # h
                    url_end = _url_end(data, place, end, ascii_kinds)
                    urls += url_end - place
                place += 1
            else:
                code, width = decoded(data, place)
                brackets += code == 0x27E8 or code == 0x27E9
                place += width
        found[0, text], found[1, text], found[2, text] = kept, spaces, brackets
        found[3, text], found[4, text] = digits, urls


@numba.njit(cache=True)
def _url_end(data, place, end, ascii_kinds):  # type: ignore[no-untyped-def]
    """Behind the web address that begins at `place`; `place` itself where none does."""
    start = place
    for letter in (104, 116, 116, 112):  # http
        if place >= end or data[place] != letter:
            return start
        place += 1
    if place < end and data[place] == 115:
        place += 1
    for mark in (58, 47, 47):  # ://
        if place >= end or data[place] != mark:
            return start
        place += 1
    first = place
    while place < end and data[place] < 0x80:
        if ascii_kinds[data[place]] & _URL:
            place += 1
        elif data[place] == 37 and place + 2 < end and _is_hex(data[place + 1]) and _is_hex(data[place + 2]):
            place += 3
        else:
            break
    return place if place > first else start


@numba.njit(cache=True)
def _is_hex(byte):  # type: ignore[no-untyped-def]
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@numba.njit(cache=True)
def _removed_chars(data, bounds, starts, lengths, places, n):  # type: ignore[no-untyped-def]
    """Characters that go from each text when the n-gram at its place, joined by spaces, is replaced by nothing."""
    found = np.zeros(len(places), np.int64)
    for text in range(len(places)):
        if places[text] < 0:
            continue
        chars = n - 1
        for word in range(places[text], places[text] + n):
            chars += lengths[word]
        gram = np.empty(4 * chars, np.uint8)
        size = 0
        for word in range(places[text], places[text] + n):
            if size:
                gram[size] = 32
                size += 1
            place, left = starts[word], lengths[word]
            while left > 0 or (place < bounds[text + 1] and data[place] & 0xC0 == 0x80):
                left -= data[place] & 0xC0 != 0x80
                gram[size] = data[place]
                size += 1
                place += 1
        found[text] = chars * _occurrences(data, bounds[text], bounds[text + 1], gram, size)
    return found


@numba.njit(cache=True)
def _occurrences(data, begin, end, gram, size):  # type: ignore[no-untyped-def]
    """How often the bytes of `gram` occur, from left to right without overlap (Knuth, Morris and Pratt: linear)."""
    borders = np.zeros(size + 1, np.int64)  # of the gram's first bytes, so many: the longest start that ends them
    borders[0] = -1
    border = -1
    for place in range(size):
        while border >= 0 and gram[place] != gram[border]:
            border = borders[border]
        border += 1
        borders[place + 1] = border
    count = matched = 0
    first, place = gram[0], begin
    while place < end:
        if matched == 0:
            while place < end and data[place] != first:
                place += 1
            if place == end:
                break
        while matched >= 0 and data[place] != gram[matched]:
            matched = borders[matched]
        matched += 1
        place += 1
        if matched == size:
            count += 1
            matched = 0
    return count


@numba.njit(cache=True)
def _repeated_chars(firsts, lengths, offsets, n):  # type: ignore[no-untyped-def]
    """Characters of n-grams that repeat an earlier one, with their spaces; those in two such n-grams count once."""
    found = np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        chars = counted = 0  # counted: words of the next n-gram that are counted already
        for place in range(offsets[text], offsets[text + 1] - n + 1):
            if firsts[place] != place:
                for word in range(place + counted, place + n):
                    chars += lengths[word]
                chars += min(n - counted, n - 1)
                counted = n
            counted = max(counted - 1, 0)
        found[text] = chars
    return found
