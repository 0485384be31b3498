"""Raw values of DCLM-Baseline's heuristics (Li et al. 2024, appendix B; mlfoundations/dclm at 361714b).

Three kinds of words: between white space; the same cut at ASCII white space only, of which those count that begin
with a letter or digit (`dclm_words`); and Unicode's words (UAX 29) that do, for n-grams. Lines and paragraphs, between
newlines and between pairs of them, are stripped, and empty ones do not count. A share of nothing is 0, but for the
rules that DCLM answers by dropping the page: then it is 1.

Difference: DCLM reads n-grams off the whole text, so that a number with narrow no-break spaces (U+202F) is one word.
"""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.edits import dclm_lines
from pipelines.edits.spans import edited
from pipelines.quality.ngrams import ngram_firsts
from pipelines.quality.word_counts import word_counts
from pipelines.text.segments import Segments, ratio
from pipelines.text.vocabulary import Chunks, ChunkWords, Vocabulary, utf8

TOP_SIZES = (2, 3, 4)
DUP_SIZES = (5, 6, 7, 8, 9, 10)

SYMBOLS = ("#", "...", ". . .", "\u2026")
BULLETS = ("\u25cf", "\u2022", "*", "-")
ELLIPSES = ("...", ". . .", "\u2026")

_INTEGERS = ("dclm_words", "dclm_stop_words")
_SHARES = (
    "dclm_mean_word_length",
    "dclm_symbol_ratio",
    "dclm_bullet_lines",
    "dclm_ellipsis_lines",
    "dclm_words_without_letter",
    "dclm_recurring_lines",
    "dclm_recurring_paragraphs",
    "dclm_recurring_line_chars",
    "dclm_recurring_paragraph_chars",
    *(f"dclm_top_{n}gram" for n in TOP_SIZES),
    *(f"dclm_dup_{n}gram" for n in DUP_SIZES),
    "dclm_removed_words",
)

SIGNALS = pa.schema(
    [pa.field(name, pa.int32(), nullable=False) for name in _INTEGERS]
    + [pa.field(name, pa.float64(), nullable=False) for name in _SHARES]
)

Columns = dict[str, npt.NDArray[np.generic]]


def signals(texts: pa.Array, vocabulary: Vocabulary, spelled: ChunkWords) -> pa.Table:
    """A row for each text (string or large_string), columns of SIGNALS, no nulls.

    `spelled` cuts the vocabulary's chunks by `uax29.words`. `dclm_removed_words` is the share of `dclm_words` that
    DCLM's line rules (pipelines/edits/dclm_lines.py) cut, whatever the settings of the edits.
    """
    data, bounds = utf8(texts)
    words = word_counts(data, bounds)
    left = word_counts(*utf8(edited(texts, dclm_lines.line_edits(texts))))
    symbols = np.sum([np.asarray(pc.count_substring(texts, symbol)) for symbol in SYMBOLS], axis=0)
    found: Columns = {
        "dclm_words": words.after_ascii_space,
        "dclm_stop_words": words.stops_any_case,
        "dclm_mean_word_length": ratio(words.chars, words.words),
        "dclm_symbol_ratio": ratio(symbols, words.words, none=1.0),
        "dclm_words_without_letter": ratio(words.words - words.alpha, words.words, none=1.0),
        "dclm_removed_words": ratio(
            words.after_ascii_space - left.after_ascii_space, words.after_ascii_space, none=1.0
        ),
        **_of_segments(Segments.split(data, bounds, newlines=1), "line"),
        **_of_segments(Segments.split(data, bounds, newlines=2), "paragraph"),
        **_of_ngrams(vocabulary.read(texts), spelled),
    }
    return pa.table([pa.array(found[field.name], field.type) for field in SIGNALS], schema=SIGNALS)


def _of_segments(segments: Segments, name: str) -> Columns:
    segments = segments.stripped()
    segments = segments.where(segments.filled)
    found: Columns = {
        f"dclm_recurring_{name}s": segments.share(segments.recurring),
        f"dclm_recurring_{name}_chars": ratio(
            segments.sums(segments.chars * segments.recurring), segments.sums(segments.chars)
        ),
    }
    if name == "line":
        found["dclm_bullet_lines"] = segments.share(segments.starting(BULLETS))
        found["dclm_ellipsis_lines"] = segments.share(segments.ending(ELLIPSES))
    return found


def _of_ngrams(chunks: Chunks, spelled: ChunkWords) -> Columns:
    words, offsets = spelled.flat(chunks)
    lengths = spelled.lengths[words]
    chars = np.diff(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[offsets])
    found: Columns = {}
    for n, firsts, counts in ngram_firsts(words, offsets, max(DUP_SIZES)):
        if n in TOP_SIZES:
            found[f"dclm_top_{n}gram"] = ratio(_top_chars(firsts, counts, lengths, offsets, n), chars)
        elif n in DUP_SIZES:
            found[f"dclm_dup_{n}gram"] = ratio(_covered_chars(firsts, counts, lengths, offsets, n), chars)
    return found


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True)
def _top_chars(firsts, counts, lengths, offsets, n):  # type: ignore[no-untyped-def]
    """Characters of the commonest n-gram, the longest of several, times its count; 0 where none comes twice."""
    found = np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        best_count, best_chars = 1, 0
        for place in range(offsets[text], offsets[text + 1] - n + 1):
            if firsts[place] == place and counts[place] > 1 and counts[place] >= best_count:
                chars = lengths[place : place + n].sum()
                if counts[place] > best_count or chars > best_chars:
                    best_count, best_chars = counts[place], chars
        found[text] = best_count * best_chars
    return found


@numba.njit(cache=True)
def _covered_chars(firsts, counts, lengths, offsets, n):  # type: ignore[no-untyped-def]
    """Characters of words that stand in any copy of an n-gram that comes more than once."""
    found = np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        covered = offsets[text]
        for place in range(offsets[text], offsets[text + 1] - n + 1):
            if counts[firsts[place]] > 1:
                for word in range(max(covered, place), place + n):
                    found[text] += lengths[word]
                covered = place + n
    return found
