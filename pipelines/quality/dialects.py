"""Signals of other pipelines' filters beside our own: computed only for presets that read them.

A dialect is the set of columns that begin with its name and "_". Each has its own module, with its schema and its
words, and its own preset.
"""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.quality import curator_signals, dclm_signals, dolma_signals
from pipelines.text import uax29
from pipelines.text.vocabulary import ChunkWords, Vocabulary

# Raised when a value changes; the stage `signals` that holds a dialect has its version in its address.
VERSIONS = {"curator": 1, "dclm": 1, "dolma": 1}

SCHEMAS = {"curator": curator_signals.SIGNALS, "dclm": dclm_signals.SIGNALS, "dolma": dolma_signals.SIGNALS}

SLICE_BYTES = 4 << 20  # of text whose words are in memory as numbers at once

_VOCABULARY = Vocabulary()  # warm from call to call
_UNICODE_WORDS = ChunkWords(_VOCABULARY, uax29.words)


def needed(columns: Iterable[str]) -> dict[str, int]:
    """The dialects that columns belong to, with their versions, by name: all that the stage's address must cover."""
    columns = set(columns)
    return {name: VERSIONS[name] for name, schema in sorted(SCHEMAS.items()) if not columns.isdisjoint(schema.names)}


def schema(dialects: Iterable[str]) -> pa.Schema:
    """The columns of some dialects, in the order of their names."""
    return pa.schema([field for name in sorted(dialects) for field in SCHEMAS[name]])


def signals(texts: pa.Array | pa.ChunkedArray, dialects: Iterable[str]) -> pa.Table:
    """A row for each text (string or large_string; null is empty), columns of `schema(dialects)`, no nulls."""
    chosen = sorted(dialects)
    tables = [_of_slice(part, chosen) for part in _slices(texts)]
    return pa.concat_tables(tables).combine_chunks() if tables else schema(chosen).empty_table()


def _of_slice(texts: pa.Array, dialects: Sequence[str]) -> pa.Table:
    columns: list[pa.ChunkedArray] = []
    for name in dialects:
        if name == "curator":
            found = curator_signals.signals(texts, _VOCABULARY)
        elif name == "dolma":
            found = dolma_signals.signals(texts, _VOCABULARY)
        else:
            found = dclm_signals.signals(texts, _VOCABULARY, _UNICODE_WORDS)
        columns += found.columns
    _VOCABULARY.trim()
    return pa.table(columns, schema=schema(dialects))


def _slices(texts: pa.Array | pa.ChunkedArray) -> Iterable[pa.Array]:
    """Stretches of about SLICE_BYTES; a longer text is one of its own."""
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        chunk = chunk.fill_null("") if chunk.null_count else chunk
        sizes = pc.binary_length(chunk).to_numpy(zero_copy_only=False)
        first, room = 0, SLICE_BYTES
        for row, size in enumerate(sizes):
            if row > first and size > room:
                yield chunk.slice(first, row - first)
                first, room = row, SLICE_BYTES
            room -= size
        if first < len(chunk):
            yield chunk.slice(first)
