"""Raw values of dolma's taggers `gopher_v1` and `c4_v2`, each as version 1.2 computes it.

Words are what stands between white space, lines what stands between newlines, empty ones among them. Shares of
characters are of those in words. A tagger writes nothing where it has nothing to count, and the mixer's rules pass
what is not there; the value here is then 0, which they pass, too.

`c4_v2`'s line rules are edits (pipelines/edits); its list of naughty words, which is not part of its code, is left out.
"""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.quality.ngrams import ngram_firsts, top_places
from pipelines.quality.word_counts import word_counts
from pipelines.text.segments import I64, Segments, ratio
from pipelines.text.vocabulary import Chunks, Vocabulary, utf8

TOP_SIZES = (2, 3, 4)
DUP_SIZES = (5, 6, 7, 8, 9, 10)
BULLETS = ("*", "-")

_INTEGERS = ("dolma_words", "dolma_required_words")
_FLAGS = ("dolma_curly_brace", "dolma_lorem_ipsum", "dolma_javascript")
_SHARES = (
    "dolma_median_word_length",
    "dolma_symbol_words",
    "dolma_alpha_words",
    "dolma_bullet_lines",
    "dolma_ellipsis_lines",
    "dolma_recurring_lines",
    "dolma_recurring_line_chars",
    *(f"dolma_top_{n}gram" for n in TOP_SIZES),
    *(f"dolma_dup_{n}gram" for n in DUP_SIZES),
)

SIGNALS = pa.schema(
    [pa.field(name, pa.int32(), nullable=False) for name in _INTEGERS]
    + [pa.field(name, pa.bool_(), nullable=False) for name in _FLAGS]
    + [pa.field(name, pa.float64(), nullable=False) for name in _SHARES]
)

Columns = dict[str, npt.NDArray[np.generic]]


def signals(texts: pa.Array, vocabulary: Vocabulary) -> pa.Table:
    """A row for each text (string or large_string), columns of SIGNALS, no nulls."""
    data, bounds = utf8(texts)
    words = word_counts(data, bounds)
    lines = Segments.split(data, bounds, newlines=1)
    whole = Segments(data, bounds[:-1], bounds[1:], np.arange(len(bounds)))
    some_chars = np.maximum(words.chars, 1)
    found: Columns = {
        "dolma_words": words.words,
        "dolma_required_words": words.stops,
        "dolma_symbol_words": ratio(words.marked, words.words),
        "dolma_alpha_words": ratio(words.alpha, words.words),
        "dolma_curly_brace": np.asarray(pc.greater(pc.count_substring(texts, "{"), 0).fill_null(False)),
        "dolma_lorem_ipsum": whole.holding(("lorem ipsum",)),
        "dolma_javascript": whole.holding(("javascript",)),
        "dolma_bullet_lines": lines.share(lines.starting(BULLETS)),
        "dolma_ellipsis_lines": lines.share(lines.ending(("\u2026",))),
        "dolma_recurring_lines": lines.share(lines.recurring),
        "dolma_recurring_line_chars": ratio(lines.sums(lines.chars * lines.recurring), some_chars),
        **_of_chunks(vocabulary.read(texts), vocabulary, words.chars),
    }
    return pa.table([pa.array(found[field.name], field.type) for field in SIGNALS], schema=SIGNALS)


def _of_chunks(chunks: Chunks, vocabulary: Vocabulary, chars: I64) -> Columns:
    lengths = vocabulary.chars[chunks.numbers]
    found: Columns = {"dolma_median_word_length": _medians(lengths, chunks.offsets)}
    for n, firsts, counts in ngram_firsts(chunks.numbers, chunks.offsets, max(DUP_SIZES)):
        if n in TOP_SIZES:
            places = top_places(firsts, counts, chunks.offsets, n)
            found[f"dolma_top_{n}gram"] = ratio(_top_chars(places, counts, lengths, n), chars)
        elif n in DUP_SIZES:
            found[f"dolma_dup_{n}gram"] = ratio(*_dup_chars(firsts, counts, lengths, chunks.offsets, n))
    return found


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True)
def _medians(lengths, offsets):  # type: ignore[no-untyped-def]
    """float64 [texts]: of word lengths, the mean of the middle two of an even number; 0 without words."""
    found = np.zeros(len(offsets) - 1)
    for text in range(len(offsets) - 1):
        ordered = np.sort(lengths[offsets[text] : offsets[text + 1]])
        if len(ordered):
            found[text] = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return found


@numba.njit(cache=True)
def _top_chars(places, counts, lengths, n):  # type: ignore[no-untyped-def]
    found = np.zeros(len(places), np.int64)
    for text in range(len(places)):
        if places[text] >= 0:
            found[text] = counts[places[text]] * lengths[places[text] : places[text] + n].sum()
    return found


@numba.njit(cache=True)
def _dup_chars(firsts, counts, lengths, offsets, n):  # type: ignore[no-untyped-def]
    """(characters in all copies of n-grams that occur more than once, characters in all n-grams)"""
    dup, total = np.zeros(len(offsets) - 1, np.int64), np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        begin, end = offsets[text], offsets[text + 1]
        if end - begin < n:
            continue
        chars = lengths[begin : begin + n].sum()
        for place in range(begin, end - n + 1):
            total[text] += chars
            if counts[firsts[place]] > 1:
                dup[text] += chars
            if place + n < end:
                chars += lengths[place + n] - lengths[place]
    return dup, total
