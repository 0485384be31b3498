"""Raw values of the published quality heuristics, and verdicts: the first rule of a preset that they break.

The rules are Gopher's (repetition and quality), C4's and FineWeb's, counted as datatrove counts them,
because its thresholds were tuned on those counts. Signals named `edited_...` are of the text after the
edits: C4's and FineWeb's rules stand behind C4's line edits. All others are of the text as extracted.

No signal is NaN or null. A share or mean of nothing (no text, no words, no lines) is 0, so a text without
words breaks the first rule that asks for some, and at the latest `empty`, which is asked last in every
preset.

Known differences: a symbol is what Unicode calls punctuation, symbol or control, where datatrove has a list
of characters; n-grams are compared word by word, where it joins the words ("ab c" is no "a bc" here). Rules
about the length of words pass languages without spaces, whose words are single characters here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.errors import SettingsError
from pipelines.quality.repetition import DUP_SIZES, TOP_SIZES, ngram_shares
from pipelines.settings import Quality
from pipelines.text.stopwords import ENGLISH, STOP_WORDS, UNSPACED_LANGUAGES
from pipelines.text.words import (
    ALPHA,
    NON_SYMBOL,
    PUNCTUATION,
    TERMINAL,
    TERMINAL_MARKS,
    Vocabulary,
    lines,
    paragraphs,
)

if TYPE_CHECKING:
    import polars as pl

VERSION = 1

SHORT_LINE_CHARS = 30  # FineWeb's; a longer line is none of its short lines
SLICE_CHARS = 4 << 20  # of text whose words are in memory as numbers at once

_INTEGERS = ["num_chars", "num_words", "stop_words_english", "stop_words_own"]
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

COLUMNS = ("language", "language_score", *SIGNALS.names)  # what `verdicts` reads

_ENDS = tuple(TERMINAL_MARKS)
_VOCABULARY = Vocabulary()  # warm from call to call: filling it is a third of the time of a small part


def signals(texts: Sequence[str], languages: Sequence[str], edited_texts: Sequence[str] | None = None) -> pa.Table:
    """The raw value of every heuristic, a row for each text, columns of SIGNALS.

    `languages` are codes as in `stopwords.STOP_WORDS`; `edited_texts`, the texts after the edits, default
    to the texts themselves. `num_words` are words that are no symbols; `edited_num_words` counts all.
    `stop_words_own` is -1 where the language has no list.
    """
    edited = texts if edited_texts is None else edited_texts
    if not len(texts) == len(languages) == len(edited):
        raise ValueError(f"{len(texts)} texts, {len(languages)} languages, {len(edited)} edited texts")
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in SIGNALS.names}
    for first, last in _slices(texts):
        part = slice(first, last)
        found = {
            **_of_characters(texts[part], edited[part]),
            **_of_words(texts[part], languages[part], _VOCABULARY),
            **_of_edited_words(edited[part], _VOCABULARY),
        }
        for name in SIGNALS.names:
            columns[name].append(found[name])
        _VOCABULARY.trim()
    none = np.empty(0)
    return pa.table([pa.array(np.concatenate([none, *columns[f.name]]), f.type) for f in SIGNALS], schema=SIGNALS)


def verdicts(signals: pa.Table, settings: Quality) -> pa.Array:
    """The reason why each row goes, null for rows that stay: the first broken rule, in the order of the settings.

    Reads COLUMNS: those of `signals`, and the language with its score. Reasons are named as datatrove names
    them. Raises SettingsError for a rule group that is not in RULES.
    """
    import polars as pl

    verdict = pl.lit(None, dtype=pl.String)
    for reason, broken in reversed(_rules(settings)):
        verdict = pl.when(broken).then(pl.lit(reason)).otherwise(verdict)
    table = pl.from_arrow(signals)
    assert isinstance(table, pl.DataFrame)
    return table.select(verdict.alias("reason"))["reason"].to_arrow().cast(pa.string())


def reasons(settings: Quality) -> list[str]:
    """Every reason that `verdicts` can give, in the order in which the rules are asked."""
    return [reason for reason, _ in _rules(settings)]


# ---------------------------------------------------------------------------------------------------------
# Signals


def _slices(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Stretches of about SLICE_CHARS characters."""
    first, chars = 0, 0
    for row, text in enumerate(texts):
        chars += len(text)
        if chars >= SLICE_CHARS:
            yield first, row + 1
            first, chars = row + 1, 0
    if first < len(texts):
        yield first, len(texts)


def _of_characters(texts: Sequence[str], edited: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Signals of lines, paragraphs and characters: no word is needed."""
    raw = np.array([_raw_values(text) for text in texts]).T
    after = np.array([_edited_values(text) for text in edited]).T
    raw_names = "dup_paragraphs dup_paragraph_chars dup_lines dup_line_chars bullet_lines ellipsis_lines num_chars"
    after_names = (
        "edited_line_punctuation edited_short_lines edited_dup_chars edited_num_chars edited_lorem_ipsum "
        "edited_curly_bracket"
    )
    found = dict(zip(raw_names.split(), raw, strict=True)) | dict(zip(after_names.split(), after, strict=True))
    types = {name: SIGNALS.field(name).type.to_pandas_dtype() for name in found}
    return {name: values.astype(types[name]) for name, values in found.items()}


def _raw_values(text: str) -> tuple[float, ...]:
    num_chars = max(1, len(text))
    dup_paragraphs, dup_paragraph_chars, num_paragraphs = _repeats(paragraphs(text))
    dup_lines, dup_line_chars, num_lines = _repeats(lines(text))
    rows = text.splitlines()
    return (
        dup_paragraphs / num_paragraphs,
        dup_paragraph_chars / num_chars,
        dup_lines / num_lines,
        dup_line_chars / num_chars,
        _share(row.lstrip().startswith(("\u2022", "-")) for row in rows),
        _share(row.rstrip().endswith(("...", "\u2026")) for row in rows),
        len(text),
    )


def _edited_values(text: str) -> tuple[float, ...]:
    """FineWeb's rules see stripped lines, since C4's edits, which strip them, come first in its pipeline."""
    rows = [row for row in map(str.strip, text.split("\n")) if row]
    _, dup_chars, _ = _repeats(rows)
    return (
        _share(row.endswith(_ENDS) for row in rows),
        _share(len(row) <= SHORT_LINE_CHARS for row in rows),
        dup_chars / max(1, sum(map(len, rows))),
        len(text),
        "lorem ipsum" in text.lower(),
        "{" in text,
    )


def _repeats(elements: list[str]) -> tuple[int, int, int]:
    """(elements that equal an earlier one, their characters, all elements)."""
    distinct = set(elements)
    if len(distinct) == len(elements):
        return 0, 0, len(elements)
    return len(elements) - len(distinct), sum(map(len, elements)) - sum(map(len, distinct)), len(elements)


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found) if found else 0.0


def _of_words(texts: Sequence[str], languages: Sequence[str], vocabulary: Vocabulary) -> dict[str, npt.NDArray[Any]]:
    numbered = [vocabulary.numbers(text) for text in texts]
    own_lists = {
        language: {vocabulary.number(word) for word in STOP_WORDS[language]}
        for language in sorted(set(languages) & STOP_WORDS.keys())
    }
    english = {vocabulary.number(word) for word in ENGLISH}
    own = [own_lists.get(language) for language in languages]
    words, offsets = _flat(numbered)
    lengths, kinds = vocabulary.lengths(), vocabulary.kinds()[words]
    num_all = np.diff(offsets)
    non_symbol = (kinds & NON_SYMBOL) > 0
    num_words = _sums(non_symbol, offsets)
    num_chars = np.fromiter(map(len, texts), np.int64, len(texts))
    ngrams = ngram_shares(words, offsets, lengths, num_chars)
    hashes = np.array([text.count("#") for text in texts])
    ellipses = np.array([text.count("...") + text.count("\u2026") for text in texts])
    names = [f"top_{n}gram" for n in TOP_SIZES] + [f"dup_{n}gram" for n in DUP_SIZES]
    return {
        "num_words": num_words,
        "mean_word_length": _ratio(_sums(lengths[words] * non_symbol, offsets), num_words),
        "hash_ratio": _ratio(hashes, num_all),
        "ellipsis_ratio": _ratio(ellipses, num_all),
        "alpha_words": _ratio(_sums((kinds & ALPHA) > 0, offsets), num_all),
        "stop_words_english": np.array([len(english.intersection(row)) for row in numbered]),
        "stop_words_own": np.array(
            [-1 if stops is None else len(stops.intersection(row)) for stops, row in zip(own, numbered, strict=True)]
        ),
        **dict(zip(names, ngrams.T, strict=True)),
    }


def _of_edited_words(edited: Sequence[str], vocabulary: Vocabulary) -> dict[str, npt.NDArray[Any]]:
    rows = [[vocabulary.numbers(row) for row in text.splitlines()] for text in edited]
    words, row_offsets = _flat([row for text in rows for row in text])
    text_offsets = np.array([0, *accumulate(map(len, rows))], dtype=np.int64)
    num_words = np.diff(row_offsets[text_offsets])
    newlines = np.array([text.count("\n") for text in edited])
    return {
        "edited_num_words": num_words,
        "edited_num_sentences": _sums(_sentences(vocabulary.kinds()[words], row_offsets), text_offsets),
        "edited_list_ratio": _ratio(newlines, num_words),
    }


def _sentences(kinds: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`words.num_sentences` of each line at once."""
    line = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    ends = (kinds & TERMINAL) > 0
    (places,) = np.nonzero(ends | ((kinds & PUNCTUATION) == 0))
    here, line = ends[places], line[places]
    begins = ~here[1:] & here[:-1] & (line[1:] == line[:-1])
    return np.bincount(line[1:][begins], minlength=len(offsets) - 1) + (np.diff(offsets) > 0)


def _flat(numbered: list[list[int]]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    offsets = np.array([0, *accumulate(map(len, numbered))], dtype=np.int64)
    return np.fromiter((n for row in numbered for n in row), np.int32, int(offsets[-1])), offsets


def _sums(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sums of stretches, of which some may be empty."""
    running: npt.NDArray[np.int64] = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=running[1:])
    sums: npt.NDArray[np.int64] = running[offsets[1:]] - running[offsets[:-1]]
    return sums


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Their quotient, 0 where there is nothing below."""
    ratio: npt.NDArray[np.float64] = np.divide(above, below, out=np.zeros(len(below)), where=below > 0)
    return ratio


# ---------------------------------------------------------------------------------------------------------
# Verdicts

Rule = tuple[str, "pl.Expr"]


def _rules(settings: Quality) -> list[Rule]:
    import polars as pl

    unknown = [group for group in settings.rules if group not in RULES]
    if unknown:
        raise SettingsError(f"quality.rules: no rules named {', '.join(unknown)}; there are: {', '.join(RULES)}")
    rules = [("language_score", pl.col("language_score").fill_null(0.0) < settings.min_language_score)]
    if settings.languages:
        rules.insert(0, ("language", ~pl.col("language").fill_null("").is_in(settings.languages)))
    for group in settings.rules:
        rules += RULES[group](settings)
    return [*rules, ("empty", pl.col("edited_num_words") == 0)]


def _gopher_repetition(settings: Quality) -> list[Rule]:
    import polars as pl

    return [
        ("dup_para_frac", pl.col("dup_paragraphs") > settings.max_dup_paragraphs),
        ("dup_para_char_frac", pl.col("dup_paragraph_chars") > settings.max_dup_paragraph_chars),
        ("dup_line_frac", pl.col("dup_lines") > settings.max_dup_lines),
        ("dup_line_char_frac", pl.col("dup_line_chars") > settings.max_dup_line_chars),
        *(
            (f"top_{n}_gram", pl.col(f"top_{n}gram") > most)
            for n, most in zip(TOP_SIZES, settings.max_top_ngrams, strict=True)
        ),
        *(
            (f"duplicated_{n}_n_grams", pl.col(f"dup_{n}gram") > most)
            for n, most in zip(DUP_SIZES, settings.max_dup_ngrams, strict=True)
        ),
    ]


def _gopher_quality(settings: Quality) -> list[Rule]:
    import polars as pl

    num_words, length = pl.col("num_words"), pl.col("mean_word_length")
    spaced = ~pl.col("language").fill_null("").is_in(sorted(UNSPACED_LANGUAGES))
    stops = pl.col("stop_words_english" if settings.stop_words == "english" else "stop_words_own")
    return [
        ("gopher_short_doc", num_words < settings.min_words),
        ("gopher_long_doc", num_words > settings.max_words),
        ("gopher_below_avg_threshold", (length < settings.min_mean_word_length) & spaced),
        ("gopher_above_avg_threshold", (length > settings.max_mean_word_length) & spaced),
        ("gopher_too_many_hashes", pl.col("hash_ratio") > settings.max_symbol_ratio),
        ("gopher_too_many_ellipsis", pl.col("ellipsis_ratio") > settings.max_symbol_ratio),
        ("gopher_too_many_bullets", pl.col("bullet_lines") > settings.max_bullet_lines),
        ("gopher_too_many_end_ellipsis", pl.col("ellipsis_lines") > settings.max_ellipsis_lines),
        ("gopher_below_alpha_threshold", pl.col("alpha_words") < settings.min_alpha_words),
        ("gopher_enough_stop_words", (stops < settings.min_stop_words) & (stops >= 0)),
    ]


def _c4(settings: Quality) -> list[Rule]:
    import polars as pl

    return [
        ("lorem_ipsum", pl.col("edited_lorem_ipsum")),
        ("curly_bracket", pl.col("edited_curly_bracket")),
        ("too_few_sentences", pl.col("edited_num_sentences") < settings.min_sentences),
    ]


def _fineweb(settings: Quality) -> list[Rule]:
    import polars as pl

    return [
        ("empty", pl.col("edited_num_words") == 0),
        ("line_punct_ratio", pl.col("edited_line_punctuation") < settings.min_line_punctuation),
        ("short_line_ratio", pl.col("edited_short_lines") > settings.max_short_lines),
        ("char_dup_ratio", pl.col("edited_dup_chars") > settings.max_dup_chars),
        ("list_ratio", pl.col("edited_list_ratio") > settings.max_list_ratio),
    ]


RULES: dict[str, Callable[[Quality], list[Rule]]] = {
    "gopher_repetition": _gopher_repetition,
    "gopher_quality": _gopher_quality,
    "c4": _c4,
    "fineweb": _fineweb,
}
