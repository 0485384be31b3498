"""What published filters count of the words between white space, in one compiled pass over UTF-8 bytes.

Words are exactly those of `str.split`.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from pipelines.text.characters import ALNUM, ALPHA, ALPHABETIC, Bytes, classes, decoded, marks
from pipelines.text.chunk_table import space_width
from pipelines.text.stopwords import ENGLISH

I64 = npt.NDArray[np.int64]

# Words that are an ellipsis for NeMo Curator ("-\u00bb" among them).
ELLIPSIS_WORDS = ("...", "[...]", "\u2026", "(...)", "[\u2026]", "-\u00bb")


class WordCounts(NamedTuple):
    """int64 [texts] each, of words."""

    words: I64
    chars: I64  # in all words
    longest: I64  # characters of the longest word
    alpha: I64  # with a character of `str.isalpha`
    alphabetic: I64  # with a character of Unicode's property Alphabetic
    stops: I64  # of Gopher's eight, as often as they come
    stops_any_case: I64
    marked: I64  # with a "#" or a "\u2026"
    symbols: I64  # that are an ellipsis, or have a run of "#" for fewer than every two characters
    after_ascii_space: I64  # of words cut at ASCII white space and NUL only, those that begin with a letter or digit


def word_counts(data: Bytes, bounds: I64) -> WordCounts:
    """Counts for each text; `data` and `bounds` as of `vocabulary.utf8`."""
    found = np.zeros((len(WordCounts._fields), len(bounds) - 1), np.int64)
    _count(data, bounds, classes(), _STOPS, *marks(ELLIPSIS_WORDS), found)
    return WordCounts(*found)


def _packed(word: str) -> int:
    return int.from_bytes(word.encode(), "big")


_STOPS = np.array(sorted(map(_packed, ENGLISH)), np.int64)


@numba.njit(cache=True)
def _is_one(data, start, end, words, word_offsets):  # type: ignore[no-untyped-def]
    for word in range(len(word_offsets) - 1):
        first, last = word_offsets[word], word_offsets[word + 1]
        if last - first == end - start:
            same = True
            for step in range(last - first):
                same = same and words[first + step] == data[start + step]
            if same:
                return True
    return False


@numba.njit(cache=True)
def _stop_word(data, start, end, stops):  # type: ignore[no-untyped-def]
    """2 for one of the stop words, 1 for one in another case."""
    small, exact = np.int64(0), True
    for place in range(start, end):
        byte = np.int64(data[place])
        if 65 <= byte <= 90:
            byte += 32
            exact = False
        small = small << 8 | byte
    for stop in stops:
        if stop == small:
            return 2 if exact else 1
    return 0


@numba.njit(cache=True)
def _count(data, bounds, classes, stops, ellipses, ellipsis_offsets, found):  # type: ignore[no-untyped-def]
    for text in range(len(bounds) - 1):
        place, end = bounds[text], bounds[text + 1]
        words = all_chars = longest = alpha = alphabetic = exact_stops = any_stops = marked = symbols = plain = 0
        after_space = True  # ASCII white space or NUL stands before
        while place < end:
            width = space_width(data, place, end)
            if width:
                after_space = width == 1 and not 0x1C <= data[place] <= 0x1F
                place += width
                continue
            start = place
            chars = runs = 0
            seen = 0
            in_run = has_mark = False
            while place < end:
                byte = data[place]
                if byte < 0x80:
                    if byte <= 0x20 and space_width(data, place, end):
                        break
                    kind = classes[byte]
                    is_hash = byte == 35
                    runs += is_hash and not in_run
                    in_run = is_hash
                    has_mark |= is_hash
                    plain += after_space and kind & ALNUM > 0
                    after_space = byte == 0
                    place += 1
                else:
                    if space_width(data, place, end):
                        break
                    code, width = decoded(data, place)
                    kind = classes[code]
                    has_mark |= code == 0x2026
                    in_run = False
                    plain += after_space and kind & ALNUM > 0
                    after_space = False
                    place += width
                seen |= kind
                chars += 1
            words += 1
            all_chars += chars
            longest = max(longest, chars)
            alpha += seen & ALPHA > 0
            alphabetic += seen & ALPHABETIC > 0
            marked += has_mark
            symbols += 2 * runs > chars or _is_one(data, start, place, ellipses, ellipsis_offsets)
            if place - start <= 4:
                kind_of_stop = _stop_word(data, start, place, stops)
                exact_stops += kind_of_stop == 2
                any_stops += kind_of_stop > 0
        found[0, text], found[1, text], found[2, text] = words, all_chars, longest
        found[3, text], found[4, text] = alpha, alphabetic
        found[5, text], found[6, text] = exact_stops, any_stops
        found[7, text], found[8, text], found[9, text] = marked, symbols, plain
