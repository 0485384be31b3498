"""Raw values of the published quality heuristics.

They are Gopher's (repetition and quality), C4's and FineWeb's, counted as datatrove counts them, because its
thresholds were tuned on those counts. Signals named `edited_...` are of the text after the edits: C4's and FineWeb's
rules stand behind C4's line edits. All others are of the text as extracted.

No signal is NaN or null. A share or mean of nothing (no text, no words, no lines) is 0, so a text without words breaks
the first rule that asks for some, and at the latest `empty`, which is asked last in every preset.

Known differences: a symbol is what Unicode calls punctuation, symbol or control, where datatrove has a list of
characters; n-grams are compared word by word, where it joins the words ("ab c" is no "a bc" here).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.quality.counts import sentence_counts, word_counts
from pipelines.quality.lines import edited_counts, raw_counts
from pipelines.quality.repetition import DUP_SIZES, TOP_SIZES, ngram_shares
from pipelines.text.chunks import cut_chunk
from pipelines.text.plain_chunks import cut_plain
from pipelines.text.vocabulary import ChunkWords, Vocabulary, utf8

SLICE_BYTES = 4 << 20  # of text whose words are in memory as numbers at once

_INTEGERS = ["num_chars", "num_words", "stop_words_english", "stop_words_own", "third_longest_line"]
_INTEGERS += ["edited_num_chars", "edited_num_words", "edited_num_sentences"]
_FLAGS = ["edited_lorem_ipsum", "edited_curly_bracket"]
_SHARES = [
    "mean_word_length",
    "hash_ratio",
    "ellipsis_ratio",
    "bullet_lines",
    "ellipsis_lines",
    "alpha_words",
]
_SHARES += ["dup_paragraphs", "dup_paragraph_chars", "dup_lines", "dup_line_chars"]
_SHARES += [f"top_{n}gram" for n in TOP_SIZES] + [f"dup_{n}gram" for n in DUP_SIZES]
_SHARES += ["edited_line_punctuation", "edited_short_lines", "edited_dup_chars", "edited_list_ratio"]

SIGNALS = pa.schema(
    [pa.field(name, pa.int32(), nullable=False) for name in _INTEGERS]
    + [pa.field(name, pa.bool_(), nullable=False) for name in _FLAGS]
    + [pa.field(name, pa.float64(), nullable=False) for name in _SHARES]
)

Columns = dict[str, npt.NDArray[Any]]

_VOCABULARY = Vocabulary()  # warm from call to call: filling it is a third of the time of a small part
_WORDS = ChunkWords(_VOCABULARY, cut_chunk, cut_plain)


def signals(
    texts: pa.Array | pa.ChunkedArray | Sequence[str],
    languages: Sequence[str],
    edited_texts: pa.Array | pa.ChunkedArray | Sequence[str] | None = None,
) -> pa.Table:
    """The raw value of every heuristic, a row for each text, columns of SIGNALS.

    `languages` are codes as in `stopwords.STOP_WORDS`; `edited_texts`, the texts after the edits, default
    to the texts themselves. `num_words` are words that are no symbols; `edited_num_words` counts all.
    `stop_words_own` is -1 where the language has no list.
    """
    raw = _array(texts)
    edited = raw if edited_texts is None else _array(edited_texts)
    if not len(raw) == len(languages) == len(edited):
        raise ValueError(f"{len(raw)} texts, {len(languages)} languages, {len(edited)} edited texts")
    tables = [
        _of_slice(raw.slice(first, size), edited.slice(first, size), languages[first : first + size])
        for first, size in _slices(raw)
    ]
    return pa.concat_tables(tables) if tables else SIGNALS.empty_table()


def _array(texts: pa.Array | pa.ChunkedArray | Sequence[str]) -> pa.Array:
    if isinstance(texts, pa.ChunkedArray):
        return texts.chunk(0) if texts.num_chunks == 1 else texts.cast(pa.large_string()).combine_chunks()
    return texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())


def _slices(texts: pa.Array) -> Iterator[tuple[int, int]]:
    """(first row, rows) of stretches of about SLICE_BYTES."""
    _, offsets = utf8(texts)
    first = 0
    while first < len(texts):
        last = int(np.searchsorted(offsets, offsets[first] + SLICE_BYTES, side="left"))
        last = min(max(last, first + 1), len(texts))
        yield first, last - first
        first = last


def _of_slice(texts: pa.Array, edited: pa.Array, languages: Sequence[str]) -> pa.Table:
    found = {**_of_texts(texts, languages), **_of_edited_texts(edited)}
    _VOCABULARY.trim()
    return pa.table([pa.array(found[field.name].astype(field.type.to_pandas_dtype())) for field in SIGNALS], SIGNALS)


def _of_texts(texts: pa.Array, languages: Sequence[str]) -> Columns:
    counted, chunks = raw_counts(texts), _VOCABULARY.read(texts)
    of_words = word_counts(chunks, _WORDS, languages)
    words, offsets = _WORDS.flat(chunks)
    num_all = np.diff(offsets)
    ngrams = ngram_shares(words, offsets, _WORDS.lengths, counted["num_chars"])
    names = [f"top_{n}gram" for n in TOP_SIZES] + [f"dup_{n}gram" for n in DUP_SIZES]
    return {
        "num_chars": counted["num_chars"],
        "num_words": of_words["num_words"],
        "stop_words_english": of_words["stop_words_english"],
        "stop_words_own": of_words["stop_words_own"],
        "third_longest_line": counted["third_longest_line"],
        "mean_word_length": _ratio(of_words["num_word_chars"], of_words["num_words"]),
        "hash_ratio": _ratio(counted["num_hashes"], num_all),
        "ellipsis_ratio": _ratio(counted["num_ellipses"], num_all),
        "bullet_lines": _ratio(counted["num_bullet_rows"], counted["num_rows"]),
        "ellipsis_lines": _ratio(counted["num_ellipsis_rows"], counted["num_rows"]),
        "alpha_words": _ratio(of_words["num_alpha_words"], num_all),
        "dup_paragraphs": _ratio(counted["num_dup_paragraphs"], counted["num_paragraphs"]),
        "dup_paragraph_chars": _ratio(counted["num_dup_paragraph_chars"], counted["num_chars"]),
        "dup_lines": _ratio(counted["num_dup_lines"], counted["num_lines"]),
        "dup_line_chars": _ratio(counted["num_dup_line_chars"], counted["num_chars"]),
        **dict(zip(names, ngrams.T, strict=True)),
    }


def _of_edited_texts(edited: pa.Array) -> Columns:
    counted, chunks = edited_counts(edited), _VOCABULARY.read(edited)
    of_words = sentence_counts(edited, chunks, _WORDS)
    return {
        "edited_num_chars": counted["num_chars"],
        "edited_num_words": of_words["num_words"],
        "edited_num_sentences": of_words["num_sentences"],
        "edited_lorem_ipsum": counted["lorem_ipsum"],
        "edited_curly_bracket": counted["curly_bracket"],
        "edited_line_punctuation": _ratio(counted["num_ended_lines"], counted["num_lines"]),
        "edited_short_lines": _ratio(counted["num_short_lines"], counted["num_lines"]),
        "edited_dup_chars": _ratio(counted["num_dup_line_chars"], counted["num_line_chars"]),
        "edited_list_ratio": _ratio(counted["num_newlines"], of_words["num_words"]),
    }


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Their quotient, 0 where there is nothing below."""
    ratio: npt.NDArray[np.float64] = np.divide(above, below, out=np.zeros(len(below)), where=below > 0)
    return ratio
