"""C4's rules for lines, in one compiled pass over the UTF-8 bytes (Raffel et al. 2020, section 2.2).

The order of the rules is that of datatrove's C4QualityFilter, and what is left is its text but for this. White
space around a kept line and each line's own line end stay, where datatrove strips lines and joins them with a
newline. Its rules for whole pages (`{`, lorem ipsum, too few sentences) are verdicts here, not edits. A page that
it would drop at once for `{` keeps its other lines. A word is what stands between white space, in both; but of a
script without spaces each character is one here, so that a Chinese line is neither too short nor one long word.
Upper and lower case are those of the letters A to Z, where `str.lower` also takes the Kelvin sign for a k.
Of 3,824 documents in 24 domains, 3,751 come out as there but for that white space (3,819 with `c4_end_mark`); all
lines that differ in the others are of scripts without spaces.
"""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.edits.characters import BREAK, DIGIT, LETTER, MARK, SPACE, classes, text_bytes
from pipelines.edits.spans import cuts_array
from pipelines.settings import Edits
from pipelines.text.characters import decoded

# datatrove's names for its dropped lines, but for blank ones, which it counts with those of too few words
REASONS = (
    "too_long_word",
    "no_terminal_punct",
    "too_few_words",
    "javascript",
    "policy",
    "citation",
    "blank_line",
)
TOO_LONG_WORD, NO_END_MARK, TOO_FEW_WORDS, JAVASCRIPT, POLICY, CITATION, BLANK_LINE = range(len(REASONS))

POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
CITATIONS = ("[edit]", "[citation needed]")  # and [] and [12]


def line_edits(texts: pa.Array | pa.ChunkedArray, settings: Edits) -> pa.Array:
    """The edits of each text by C4's line rules, of type EDITS.

    A line goes, with its line end, if a word has over `max_word_chars` characters; if it does not end in one of
    `.?!"'` or ends in an ellipsis (`c4_end_mark` only; citations are looked through); if it has under
    `min_line_words` words; if it names javascript; if it holds a policy phrase. From lines that stay, citation
    marks like [1] go. Where only lines that go follow the last that stays, its line end goes too.
    """
    data, bounds = text_bytes(texts)
    offsets, starts, ends, why = _line_cuts(
        data, bounds, classes(), _KINDS, *_PHRASES, *_MARKS,
        settings.max_word_chars, settings.min_line_words, settings.c4_end_mark,
    )  # fmt: skip
    return cuts_array(offsets, starts, ends, why, REASONS)


# ---------------------------------------------------------------------------------------------------------
# Compiled

# What a byte may begin
_PLAIN, _ANCHOR, _BRACKET, _BLANK, _LINE_END, _WIDE, _MAYBE_LINE_END = range(7)


def _packed(phrases: tuple[str, ...]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(bytes, offsets)"""
    data = [phrase.encode() for phrase in phrases]
    return np.frombuffer(b"".join(data), np.uint8), np.cumsum([0, *map(len, data)])


def _rarest(phrase: str) -> int:
    """The place of the letter that English texts have least of: where it does not stand, nor does the phrase."""
    return min(range(len(phrase)), key=lambda place: "jqxzkvbpygfwmucldrhsnioate ".index(phrase[place]))


_WANTED = ("javascript", *POLICY_PHRASES)
_MARKS = _packed(CITATIONS)
_PHRASES = (*_packed(_WANTED), np.array([_rarest(phrase) for phrase in _WANTED]))

_KINDS = np.zeros(256, np.uint8)
_KINDS[[0x09, 0x1F, 0x20]] = _BLANK
_KINDS[[0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E]] = _LINE_END
_KINDS[ord("[")] = _BRACKET
for _phrase in _WANTED:
    _letter = ord(_phrase[_rarest(_phrase)])
    _KINDS[[_letter, _letter - 32]] = _ANCHOR
_KINDS[0x80:] = _WIDE
_KINDS[[0xC2, 0xE2]] = _MAYBE_LINE_END


@numba.njit(cache=True)
def _line_cuts(  # type: ignore[no-untyped-def]
    data, bounds, classes, kinds, phrases, phrase_bounds, anchors, marks, mark_bounds, max_chars, min_words, end_mark
):
    """(offsets, starts, ends, reasons) of the spans, places within each text."""
    offsets = np.zeros(len(bounds), np.int64)
    room = _most_spans(data, bounds, kinds)
    starts, ends, reasons = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.uint8)
    count = 0
    for text in range(len(bounds) - 1):
        begin, stop = bounds[text], bounds[text + 1]
        place, kept_end, num_before = begin, np.int64(-1), 0
        while place < stop:
            line, before = place, count
            num_words, longest, run = 0, 0, 0  # run: characters of the word so far
            first, last, mark_place = np.int64(-1), line, np.int64(-1)  # first to last: the stripped line
            javascript, policy = False, False
            after = stop  # where the next line begins
            while place < stop:
                byte = data[place]
                kind = kinds[byte]
                if kind == _PLAIN:
                    first = place if first < 0 else first
                    num_words += run == 0
                    run -= place
                    place += 1
                    while place < stop and kinds[data[place]] == _PLAIN:
                        place += 1
                    run += place
                    last = place
                    continue
                width = 1
                unspaced = False
                if kind >= _WIDE:
                    code, width = decoded(data, place)
                    bits = classes[code]
                    if bits & BREAK:
                        kind = _LINE_END
                    elif bits & SPACE:
                        kind = _BLANK
                    else:
                        unspaced = bits & LETTER or (bits & MARK and mark_place == place)
                if _BLANK <= kind <= _LINE_END:
                    if run:
                        longest, run = max(longest, run), 0
                    if kind == _LINE_END:
                        after = place + width
                        if byte == 0x0D and after < stop and data[after] == 0x0A:
                            after += 1
                        break
                    place += width
                    continue
                if first < 0:
                    first = place
                last = place + width
                if unspaced:
                    longest, run = max(longest, run), 0
                    num_words += bits & LETTER != 0
                    mark_place = last
                else:
                    num_words += run == 0
                    run += 1
                    if kind == _ANCHOR:
                        for phrase in range(len(anchors)):
                            if _stands(data, begin, stop, place, phrases, phrase_bounds, anchors, phrase):
                                if phrase == 0:
                                    javascript = True
                                else:
                                    policy = True
                    elif kind == _BRACKET:
                        end = _citation_end(data, place, stop, classes, marks, mark_bounds)
                        if end:
                            starts[count], ends[count], reasons[count] = place - begin, end - begin, CITATION
                            count += 1
                place = last
            line_end = place
            longest = max(longest, run)
            place = after
            if longest > max_chars:
                reason = TOO_LONG_WORD
            elif end_mark and first >= 0 and not _ends(data, first, last, classes, marks, mark_bounds):
                reason = NO_END_MARK
            elif num_words < min_words:
                reason = TOO_FEW_WORDS if first >= 0 else BLANK_LINE
            elif javascript:
                reason = JAVASCRIPT
            elif policy:
                reason = POLICY
            else:
                kept_end, num_before = line_end, count
                continue
            count = before
            starts[count], ends[count], reasons[count] = line - begin, after - begin, reason
            count += 1
        if kept_end >= 0 and num_before < count:
            # Only cut lines follow the last kept one: its line end goes with them, as when kept lines are joined.
            starts[num_before] = kept_end - begin
        offsets[text + 1] = count
    return offsets, starts[:count].copy(), ends[:count].copy(), reasons[:count].copy()


@numba.njit(cache=True)
def _most_spans(data, bounds, kinds):  # type: ignore[no-untyped-def]
    """At least as many as there can be: one for each line and each bracket. Arrays that grow cost more than this."""
    most = len(bounds)
    for place in range(bounds[0], bounds[-1]):
        kind = kinds[data[place]]
        most += kind in (_BRACKET, _LINE_END, _MAYBE_LINE_END)
    return most


@numba.njit(cache=True)
def _stands(data, begin, stop, place, phrases, bounds, anchors, phrase):  # type: ignore[no-untyped-def]
    """Whether the phrase stands where its rarest letter, in either case, is at `place`."""
    first, size = bounds[phrase], bounds[phrase + 1] - bounds[phrase]
    start = place - anchors[phrase]
    if start < begin or start + size > stop:
        return False
    for step in range(size):
        byte = data[start + step]
        if 0x41 <= byte <= 0x5A:
            byte += 32
        if byte != phrases[first + step]:
            return False
    return True


@numba.njit(cache=True)
def _citation_end(data, place, stop, classes, marks, bounds):  # type: ignore[no-untyped-def]
    """Where the citation mark ends that begins with the bracket at `place`; 0 for another bracket."""
    for mark in range(len(bounds) - 1):
        size = bounds[mark + 1] - bounds[mark]
        if place + size <= stop:
            same = True
            for step in range(size):
                if data[place + step] != marks[bounds[mark] + step]:
                    same = False
                    break
            if same:
                return place + size
    place += 1
    while place < stop and data[place] != 0x5D:
        code, width = decoded(data, place)
        if not classes[code] & DIGIT:
            return 0
        place += width
    return place + 1 if place < stop else 0


@numba.njit(cache=True)
def _ends(data, first, last, classes, marks, bounds):  # type: ignore[no-untyped-def]
    """Whether a stripped line ends in an end mark, but in no ellipsis, when citations are looked through."""
    place, points = last, 0
    while place > first:
        byte = data[place - 1]
        if byte == 0x5D:
            start = place - 2
            while start >= first and data[start] != 0x5B and data[start] != 0x5D:
                start -= 1
            if start >= first and data[start] == 0x5B and _citation_end(data, start, last, classes, marks, bounds):
                place = start
                continue
        if byte != 0x2E:
            return points > 0 or byte == 0x3F or byte == 0x21 or byte == 0x22 or byte == 0x27
        points += 1
        if points == 3:
            return False
        place -= 1
    return points > 0
