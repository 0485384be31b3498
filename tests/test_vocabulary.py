"""Compiled chunks against `str.split`, and the words of chunks against the readable tokeniser."""

import gzip
import json
import sys
from itertools import islice, pairwise
from pathlib import Path

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.text import chunk_table
from pipelines.text import vocabulary as module
from pipelines.text.chunk_marks import EDGE_MARKS, UNITS
from pipelines.text.chunks import cut_chunk
from pipelines.text.plain_chunks import cut_plain
from pipelines.text.special_chunks import SPECIAL
from pipelines.text.spellings import Spellings
from pipelines.text.vocabulary import Chunks, ChunkWords, Vocabulary
from pipelines.text.words import word_kind, words

AT_LEISURE = hypothesis.settings(deadline=None)  # numba compiles at the first call
# Characters that the cutting rules look at, and parts of chunks that they treat in some way of their own.
TRICKY = st.text(
    alphabet=st.sampled_from(list("aAzs09 .,-'!?()[$%:/@_+*~<\u2019\u2026\u2014\u00b0\u4e2d\u3002\u0e01\u0e31\u00e9"))
)
PARTS = [
    *SPECIAL,
    *UNITS,
    *EDGE_MARKS,
    *"aA9 .,-+*^~:<>=/_",
    "..",
    "\u2605",
    "US$",
    "end",
    "Next",
    "\u0e01\u0e31",
    "a.example",
]
SPACES = "".join(chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace())
NEAR_SPACES = "".join(chr(ord(space) + step) for space in SPACES for step in (-1, 1) if ord(space) + step >= 0)
TEXTS = st.text(alphabet=st.sampled_from(SPACES + NEAR_SPACES + "ab.\u00e9\u4e2d\U0001f600")) | st.text()


def told(vocabulary: Vocabulary, chunks: Chunks) -> list[list[str]]:
    bounds = pairwise(chunks.offsets)
    return [[vocabulary.text(number) for number in chunks.numbers[first:last]] for first, last in bounds]


@AT_LEISURE
@given(st.lists(TEXTS | st.none()), st.sampled_from([pa.string(), pa.large_string()]), st.integers(0, 3))
def test_chunks_are_those_of_split(texts: list[str | None], kind: pa.DataType, skipped: int) -> None:
    vocabulary = Vocabulary()
    chunks = vocabulary.read(pa.array(texts, kind).slice(skipped))
    wanted = [(text or "").split() for text in texts[skipped:]]
    assert told(vocabulary, chunks) == wanted
    distinct = list(dict.fromkeys(chunk for row in wanted for chunk in row))
    assert vocabulary.texts() == distinct
    assert vocabulary.chars.tolist() == list(map(len, distinct))
    assert len(vocabulary) == len(distinct)


@AT_LEISURE
@given(st.lists(TEXTS))
def test_starts_are_bytes_within_the_text(texts: list[str]) -> None:
    vocabulary = Vocabulary()
    chunks = vocabulary.read(pa.array(texts, pa.string()))
    for row, text in enumerate(texts):
        data = text.encode()
        for place in range(chunks.offsets[row], chunks.offsets[row + 1]):
            chunk = vocabulary.text(chunks.numbers[place]).encode()
            assert data[chunks.starts[place] :].startswith(chunk)


def test_every_code_point_parts_words_or_not_as_split_has_it() -> None:
    codes = [code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    vocabulary = Vocabulary()
    chunks = vocabulary.read(pa.array([f"a{chr(code)}b" for code in codes]))
    parted = [code for code, count in zip(codes, np.diff(chunks.offsets), strict=True) if count == 2]
    assert parted == list(map(ord, SPACES))


def test_numbers_stay_from_call_to_call_while_tables_grow() -> None:
    many = [f"w{number}" for number in range(50_000)]
    vocabulary = Vocabulary()
    first = vocabulary.read(pa.array([" ".join(many[:10]), " ".join(many)]))
    again = vocabulary.read(pa.chunked_array([[" ".join(many[::-1])], ["w7 new"]]))
    assert first.numbers[:10].tolist() == list(range(10))
    assert first.numbers[10:].tolist() == list(range(50_000))
    assert again.numbers.tolist() == [*range(49_999, -1, -1), 7, 50_000]
    assert vocabulary.text(50_000) == "new"


def test_a_hash_alone_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the hash made useless, chunks that collide are still told apart by their bytes."""
    monkeypatch.setattr(chunk_table, "_FACTOR", np.uint64(0))
    monkeypatch.setattr(module, "find_chunks", chunk_table.find_chunks.py_func)
    vocabulary = Vocabulary()
    chunks = vocabulary.read(pa.array(["ab ba aab ab a ba"]))
    assert chunks.numbers.tolist() == [0, 1, 2, 0, 3, 1]
    assert not vocabulary.spellings.table.hashes[: len(vocabulary)].any()


def test_texts_longer_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 3)
    texts = ["a b c", "", "d e f g h i j", "  ", "k", "l m"]
    vocabulary = Vocabulary()
    chunks = vocabulary.read(pa.array(texts))
    assert told(vocabulary, chunks) == list(map(str.split, texts))
    assert chunks.starts.tolist() == [0, 2, 4, 0, 2, 4, 6, 8, 10, 12, 0, 0, 2]


def test_vocabulary_forgets_when_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHUNKS", 3)
    vocabulary = Vocabulary()
    known = ChunkWords(vocabulary, cut_chunk)
    known.flat(vocabulary.read(pa.array(["a b c d. e"])))
    vocabulary.trim()
    assert len(vocabulary) == 0
    found, _ = known.flat(vocabulary.read(pa.array(["e e f"])))
    assert found.tolist() == [0, 0, 1]
    assert known.lengths.tolist() == [1, 1]
    vocabulary.trim()
    assert len(vocabulary) == 2


def test_long_chunks_are_forgotten_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    vocabulary = Vocabulary()
    assert told(vocabulary, vocabulary.read(pa.array(["x" * 200_000]))) == [["x" * 200_000]]
    vocabulary.trim()
    assert len(vocabulary) == 0


@AT_LEISURE
@given(st.lists(st.lists(TRICKY | st.text())), st.booleans())
def test_words_of_chunks_are_the_words_of_texts(reads: list[list[str]], compiled: bool) -> None:
    vocabulary = Vocabulary()
    known = ChunkWords(vocabulary, cut_chunk, cut_plain if compiled else None)
    for texts in reads:
        found, offsets = known.flat(vocabulary.read(pa.array(texts, pa.string())))
        rows = [found[first:last].tolist() for first, last in pairwise(offsets)]
        for row, text in zip(rows, texts, strict=True):
            wanted = words(text)
            assert [known.spelled()[number] for number in row] == wanted
            assert known.lengths[row].tolist() == list(map(len, wanted))
            assert known.kinds[row].tolist() == list(map(word_kind, wanted))
            assert row == known.numbers(wanted).tolist()


def compiled_words(chunks: list[str]) -> dict[str, tuple[str, ...]]:
    """The words of chunks that the compiled cutter does not leave to Python."""
    spellings = Spellings()
    spellings.number(chunks)
    starts, ends, counts = cut_plain(spellings, 0)
    data = spellings.table.arena.tobytes()
    found = iter([data[start:end].decode() for start, end in zip(starts, ends, strict=True)])
    distinct = zip(dict.fromkeys(chunks), counts.tolist(), strict=True)
    return {chunk: tuple(islice(found, count)) for chunk, count in distinct if count > 0}


@AT_LEISURE
@given(st.lists(TRICKY | st.lists(st.sampled_from(PARTS)).map("".join) | st.text()))
def test_compiled_words_are_those_of_the_readable_cutter(texts: list[str]) -> None:
    for chunk, found in compiled_words([chunk for text in texts for chunk in text.split()]).items():
        assert found == cut_chunk(chunk)


def test_compiled_words_around_every_character() -> None:
    codes = (code for code in range(0x20000) if not 0xD800 <= code < 0xE000 and not chr(code).isspace())
    chunks = [around.format(chr(code)) for code in codes for around in ("{}", "a{}b", "9{}", "({}A", "\u4e2d{}")]
    found = compiled_words(chunks)
    assert len(found) > 0.99 * len(chunks)
    assert [chunk for chunk, cut in found.items() if cut != cut_chunk(chunk)] == []


@pytest.mark.parametrize("domain", ["docs_astronomy", "multilingual_desktop_help", "source_code"])
def test_most_chunks_of_documents_are_cut_by_compiled_code(shared: Path, domain: str) -> None:
    with gzip.open(shared / "domains" / f"{domain}.jsonl.gz", "rt", encoding="utf-8") as file:
        chunks = {chunk for line in islice(file, 100) for chunk in json.loads(line)["text"].split()}
    found = compiled_words(sorted(chunks))
    assert len(found) > 0.9 * len(chunks)
    assert [chunk for chunk, cut in found.items() if cut != cut_chunk(chunk)] == []


def test_hosts_and_paths_stay_whole_in_compiled_code() -> None:
    whole = ["a.example/b-c?d#e", "sys.path", "a_b.c-d.ef", "x9.io", "1.2.xyz/a-b", f"{'a' * 64}.org", "a.b" + 62 * "c"]
    parted = [
        "a-.bc-d",
        "_a.bc-d",
        "a..bc-d",
        "ab.Bc-d",
        "a.b9-d",
        f"{'a' * 65}.org-a",
        "a.b" + 63 * "c" + "-d",
    ]
    left = ["10.2.3.4", "a://b.cd", "a@b.cd", "\u00e9.fr", "b.cd:80"]
    found = compiled_words(whole + parted + left)
    assert set(found) == {*whole, *parted}
    for chunk, cut in found.items():
        assert cut == cut_chunk(chunk)
    assert {chunk for chunk, cut in found.items() if len(cut) == 1} == {*whole}


def test_no_texts() -> None:
    vocabulary = Vocabulary()
    for texts in (pa.array([], pa.string()), pa.array([], pa.large_string()), pa.nulls(0, pa.string())):
        chunks = vocabulary.read(texts)
        assert chunks.offsets.tolist() == [0]
        assert len(chunks.numbers) == len(chunks.starts) == 0
    words_, offsets = ChunkWords(vocabulary, cut_chunk).flat(vocabulary.read(pa.array(["", " \n", None])))
    assert offsets.tolist() == [0, 0, 0, 0]
    assert not len(words_)
