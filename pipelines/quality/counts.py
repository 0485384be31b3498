"""What Gopher's, C4's and FineWeb's rules count among the words of texts, compiled."""

from collections.abc import Sequence

import numba
import numpy as np
import pyarrow as pa

from pipelines.quality.lines import Counts
from pipelines.quality.scan import break_width, space_width_before
from pipelines.text.stopwords import ENGLISH, STOP_WORDS
from pipelines.text.vocabulary import Chunks, ChunkWords, utf8
from pipelines.text.words import ALPHA, NON_SYMBOL, PUNCTUATION, TERMINAL

_WORDS = ("num_words", "num_word_chars", "num_alpha_words", "stop_words_english", "stop_words_own")

_LANGUAGES = sorted(STOP_WORDS)
_LISTS = [ENGLISH, *(STOP_WORDS[language] for language in _LANGUAGES)]  # Gopher's own first
_STOP_WORDS = sorted(set().union(*_LISTS))
_LISTED = np.array([[word in listed for word in _STOP_WORDS] for listed in _LISTS])


def word_counts(chunks: Chunks, spelled: ChunkWords, languages: Sequence[str]) -> Counts:
    """An int64 [texts] each: words that are no symbols, their characters, words with a letter, distinct stop words.

    `stop_words_own` is -1 where the language has no list.
    """
    numbers = spelled.numbers(_STOP_WORDS)
    spelled.learn()
    stops = np.full(len(spelled.lengths), -1, np.int16)
    stops[numbers] = np.arange(len(numbers))
    lists = {language: 1 + place for place, language in enumerate(_LANGUAGES)}
    own = np.array([lists.get(language, 0) for language in languages], np.int64)
    words, offsets = spelled.flat(chunks)
    found = np.zeros((len(own), len(_WORDS)), np.int64)
    _count_words(words, offsets, spelled.lengths, spelled.kinds, stops, _LISTED, own, found)
    return dict(zip(_WORDS, np.ascontiguousarray(found.T), strict=True))


def sentence_counts(texts: pa.Array | pa.ChunkedArray, chunks: Chunks, spelled: ChunkWords) -> Counts:
    """All words and the sentences of each text, an int64 [texts] each; a line is read by itself.

    In a line, the next word that is no punctuation begins a sentence after a terminal mark; see `words.num_sentences`.
    """
    spelled.learn()
    data, bounds = utf8(texts)
    found = np.zeros((len(bounds) - 1, 2), np.int64)
    _count_sentences(
        data, bounds, chunks.numbers, chunks.offsets, chunks.starts,
        spelled.words, spelled.word_offsets, spelled.kinds, found,
    )  # fmt: skip
    return {"num_words": found[:, 0].copy(), "num_sentences": found[:, 1].copy()}


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True)
def _count_words(words, offsets, lengths, kinds, stops, listed, own, found):  # type: ignore[no-untyped-def]
    seen = np.zeros(listed.shape[1], np.int64)  # the text, from 1, that had a stop word last
    for text in range(len(own)):
        num_words, chars, alpha, english, others = 0, 0, 0, 0, 0
        for place in range(offsets[text], offsets[text + 1]):
            word = words[place]
            kind = kinds[word]
            if kind & NON_SYMBOL:
                num_words += 1
                chars += lengths[word]
            alpha += kind & ALPHA != 0
            stop = stops[word]
            if stop >= 0 and seen[stop] != text + 1:
                seen[stop] = text + 1
                english += listed[0, stop]
                others += listed[own[text], stop]
        row = found[text]
        row[0], row[1], row[2], row[3] = num_words, chars, alpha, english
        row[4] = others if own[text] else -1


@numba.njit(cache=True)
def _count_sentences(data, bounds, numbers, offsets, starts, words, word_offsets, kinds, found):  # type: ignore[no-untyped-def]
    for text in range(len(bounds) - 1):
        begin = bounds[text]
        num_words, sentences = 0, 0
        for place in range(offsets[text], offsets[text + 1]):
            if place == offsets[text] or _breaks_before(data, begin, begin + starts[place]):
                fresh, ended = True, False
            first, last = word_offsets[numbers[place]], word_offsets[numbers[place] + 1]
            num_words += last - first
            if fresh and first < last:
                sentences += 1
                fresh = False
            for word in range(first, last):
                kind = kinds[words[word]]
                if kind & TERMINAL:
                    ended = True
                elif ended and not kind & PUNCTUATION:
                    sentences += 1
                    ended = False
        found[text, 0], found[text, 1] = num_words, sentences


@numba.njit(cache=True)
def _breaks_before(data, begin, place):  # type: ignore[no-untyped-def]
    """Whether the white space that ends at `place` breaks a line."""
    while place > begin:
        width = space_width_before(data, begin, place)
        if not width:
            return False
        place -= width
        if break_width(data, place, place + width):
            return True
    return False
