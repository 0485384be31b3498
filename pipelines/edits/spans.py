"""Edits: spans to cut or to replace, with a reason each; the text itself is never rewritten.

A document's edits are a list of (start, end, replacement, reason). Places are bytes of the UTF-8 text, as
Arrow stores it, so that a reader in any language cuts without decoding; spans are sorted, do not overlap
and begin and end between characters. `text_after` and `texts_after` are the only readers.

`line_edits` holds C4's rules for lines (Raffel et al. 2020, section 2.2), in the order of datatrove's code.
It cuts a line with its line end; one blank line or more between kept lines goes too, since it has too few
words. White space around a kept line stays, where datatrove strips it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.settings import Edits
from pipelines.text.chunks import UNSPACED
from pipelines.text.words import words

VERSION = 1

SPAN = pa.struct(
    [
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("replacement", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
EDITS = pa.list_(pa.field("item", SPAN, nullable=False))

# datatrove's names for its dropped lines, but for blank ones, which it counts with those of too few words
TOO_LONG_WORD, NO_END_MARK, TOO_FEW_WORDS = "too_long_word", "no_terminal_punct", "too_few_words"
JAVASCRIPT, POLICY, CITATION, BLANK_LINE = "javascript", "policy", "citation", "blank_line"

POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_END_MARKS = (".", "?", "!", '"', "'")
_ELLIPSIS = "..."
_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")


class Span(NamedTuple):
    """One edit: `text[start:end]` in UTF-8 bytes becomes `replacement`."""

    start: int
    end: int
    replacement: str
    reason: str


def line_edits(texts: Iterable[str], settings: Edits) -> tuple[pa.Array, Counter[str]]:
    """The edits of each text by C4's line rules, of type EDITS, and how many spans each reason has.

    A line goes if a word has over `max_word_chars` characters; if it does not end in one of `.?!"'` or ends
    in an ellipsis (`c4_end_mark` only; citations are looked through); if it has under `min_line_words`
    words; if it names javascript; if it holds a policy phrase. From lines that stay, citation marks like
    [1] go. Words are between white space here, as in C4; those of scripts without spaces are characters.
    Without `c4_lines`, nothing goes.
    """
    spans = [_line_spans(text, settings) if settings.c4_lines else [] for text in texts]
    return spans_array(spans), Counter(span.reason for row in spans for span in row)


def spans_array(documents: Iterable[Sequence[Span]]) -> pa.Array:
    """An array of type EDITS from the spans of each document."""
    offsets, spans = [0], list[Span]()
    for document in documents:
        spans += document
        offsets.append(len(spans))
    columns = list(zip(*spans, strict=True)) or [(), (), (), ()]
    items = pa.StructArray.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SPAN, strict=True)], fields=list(SPAN)
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=EDITS)


def text_after(text: str, spans: Iterable[tuple[Any, ...]]) -> str:
    """The text with its spans replaced; each is (start, end, replacement, ...).

    Raises ValueError for spans that are not in order, overlap, lie outside the text or cut a character.
    """
    data, pieces, place = text.encode(), [], 0
    for start, end, replacement, *_ in spans:
        if not place <= start <= end <= len(data):
            raise ValueError(f"span {start}:{end} is out of order in a text of {len(data)} bytes, after {place}")
        pieces += [data[place:start], replacement.encode()]
        place = end
    try:
        return b"".join([*pieces, data[place:]]).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"a span cuts a character in two, at byte {error.start} of what is left") from None


def texts_after(texts: pa.ChunkedArray | pa.Array | Sequence[str], edits: pa.Array | pa.ChunkedArray) -> list[str]:
    """`text_after` for each row; texts without edits are passed through."""
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        texts = texts.to_pylist()
    if len(texts) != len(edits):
        raise ValueError(f"{len(texts)} texts, but edits for {len(edits)}")
    after = list(texts)
    for row, spans in _edited_rows(edits):
        after[row] = text_after(texts[row], spans)
    return after


# ---------------------------------------------------------------------------------------------------------


def _edited_rows(edits: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, list[tuple[int, int, str]]]]:
    """(row, its spans) of rows that have any."""
    first = 0
    for chunk in edits.chunks if isinstance(edits, pa.ChunkedArray) else [edits]:
        items = chunk.flatten()
        spans = list(
            zip(
                items.field("start").to_pylist(),
                items.field("end").to_pylist(),
                items.field("replacement").to_pylist(),
                strict=True,
            )
        )
        lengths = chunk.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        ends = np.cumsum(lengths)
        for row in np.flatnonzero(lengths):
            yield first + int(row), spans[ends[row] - lengths[row] : ends[row]]
        first += len(chunk)


def _line_spans(text: str, settings: Edits) -> list[Span]:
    """The spans of one text, in order."""
    width = len if text.isascii() else _num_bytes
    spans: list[Span] = []
    place, kept_end, num_before = 0, None, 0  # kept_end: where the last kept line ends; spans up to there
    for row in text.splitlines(keepends=True):
        reason = _why_cut(row.strip(), settings)
        if reason:
            spans.append(Span(place, place + width(row), "", reason))
        else:
            spans += _citations(row, place, width)
            kept_end, num_before = place + width(row.splitlines()[0]), len(spans)
        place += width(row)
    if kept_end is not None and num_before < len(spans):
        # Only cut lines follow the last kept one: its line end goes with them, as when kept lines are joined.
        spans[num_before] = spans[num_before]._replace(start=kept_end)
    return spans


def _why_cut(line: str, settings: Edits) -> str:
    """The reason to cut a stripped line, "" to keep it."""
    chunks = line.split()
    if len(line) > settings.max_word_chars and _longest_word(chunks) > settings.max_word_chars:
        return TOO_LONG_WORD
    if settings.c4_end_mark and line:
        end = _CITATION.sub("", line) if line.endswith("]") else line
        if not end.endswith(_END_MARKS) or end.endswith(_ELLIPSIS):
            return NO_END_MARK
    if len(chunks) < settings.min_line_words and _num_words(line, chunks) < settings.min_line_words:
        return TOO_FEW_WORDS if chunks else BLANK_LINE
    small = line.lower()
    if "javascript" in small:
        return JAVASCRIPT
    if any(phrase in small for phrase in POLICY_PHRASES):
        return POLICY
    return ""


def _longest_word(chunks: list[str]) -> int:
    """Characters of the longest word; scripts without spaces have none of over one character."""
    return max((len(word) for chunk in chunks for word in UNSPACED.sub(" ", chunk).split()), default=0)


def _num_words(line: str, chunks: list[str]) -> int:
    return len(chunks) if line.isascii() or not UNSPACED.search(line) else len(words(line))


def _citations(row: str, place: int, width: Callable[[str], int]) -> list[Span]:
    """Citation marks of a line that starts at `place`."""
    if "[" not in row:
        return []
    bounds = [(place + width(row[: m.start()]), place + width(row[: m.end()])) for m in _CITATION.finditer(row)]
    return [Span(start, end, "", CITATION) for start, end in bounds]


def _num_bytes(text: str) -> int:
    return len(text.encode())
