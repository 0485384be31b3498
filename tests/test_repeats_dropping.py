"""Documents of which too little is left keep nothing: held against documents judged one by one, in order."""

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as checks
from hypothesis import strategies as st
from made_crawls import WORDS
from made_repeats import by_id, digests, made, run, said, sentence

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.duplicates.keepers import STAYS, Settled, settled
from pipelines.duplicates.repeats import run_repeats
from pipelines.duplicates.units import sizes, units
from pipelines.edits.spans import no_edits
from pipelines.records import ID
from pipelines.settings import Engine, Repeats

LINES = [" ".join(WORDS[5 * number : 5 * number + 5]).capitalize() + "." for number in range(60)]
JUDGED = ["repeats.units=['lines']", "repeats.min_doc_words=20"]


def one_by_one(texts: list[str], settings: Repeats) -> list[tuple[str, bool]]:
    """(what is left, whether the document goes), by holding each against those before it that stay."""
    kept: set[int] = set()
    answers = []
    for text in texts:
        found = units(pa.array([text]), settings)
        gone, own = np.zeros(len(text.encode()), bool), dict[int, int]()
        for place in np.argsort(found.starts, kind="stable"):
            unit, start, end = int(found.hashes[place]), int(found.starts[place]), int(found.ends[place])
            if unit in kept or start >= own.setdefault(unit, end):
                gone[start:end] = True
        left = bytes(np.frombuffer(text.encode(), np.uint8)[~gone]).decode()
        left = left.rstrip() if gone[-1:].any() else left
        words, sentences = (int(count[0]) for count in sizes(pa.array([left])))
        too_little = words < max(1, settings.min_doc_words) or sentences < settings.min_doc_sentences
        answers.append((left, bool(gone.any()) and too_little))
        kept |= set() if answers[-1][1] else set(own) | {int(unit) for unit in found.hashes}
    return answers


# ---------------------------------------------------------------------------------------------------------
# The rounds alone


@dataclass(frozen=True)
class InMemory:
    """A part of documents of given numbers, which are their ids; it stands for a `Part`."""

    texts: dict[int, str]
    crawl: str = "crawl"
    own: bool = True

    def tables(self, *names: str) -> dict[str, pa.Table]:
        nothing = pa.nulls(len(self.texts), pa.string())
        columns = {
            "documents": {"text": pa.array(self.texts.values(), pa.string())},
            "edits": {"edits": no_edits(len(self.texts))},
            "verdicts": {"reason": nothing},
            "duplicates": {"duplicate_of": nothing},
        }
        ids = pa.array([number.to_bytes(16, "big") for number in self.texts], ID)
        return {name: pa.table({"id": ids, **columns[name]}) for name in names if name in columns}


def rounds(texts: list[str], settings: Repeats, parts: int = 1, **engine: int) -> tuple[list[bool], Settled]:
    """Whether each document goes; texts are dealt out to parts, last ones first."""
    every = [InMemory({n: texts[n] for n in reversed(range(len(texts))) if n % parts == one}) for one in range(parts)]
    with tempfile.TemporaryDirectory() as scratch:
        found = settled(every, settings, Engine(workers=1, **engine), Path(scratch))
        goes = {}
        for ordinal, part in enumerate(every):
            goes |= dict(zip(part.texts, (found.of(ordinal)[1] != STAYS).tolist(), strict=True))
    return [goes[number] for number in range(len(texts))], found


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[list[int]], str]:
    """Documents as numbers of lines, and what stands between those."""
    size = draw(st.integers(1, 5))
    some = st.lists(st.integers(0, draw(st.integers(3, 12))), min_size=1, max_size=size)
    return draw(st.lists(some, min_size=1, max_size=16)), draw(st.sampled_from(["\n", "\n\n", " "]))


@checks(deadline=None, max_examples=60)
@given(
    corpora(),
    st.sampled_from([("lines",), ("sentences",), ("lines", "paragraphs", "sentences")]),
    st.integers(1, 2),
    st.sampled_from([0, 6, 11, 16]),
    st.integers(0, 2),
    st.integers(1, 3),
    st.sampled_from([10_000, 1 << 30]),  # several ranges, and one
)
def test_rounds_end_with_what_goes_document_by_document(
    corpus: tuple[list[list[int]], str],
    kinds: tuple[str, ...],
    width: int,
    words: int,
    sentences: int,
    parts: int,
    memory: int,
) -> None:
    documents, between = corpus
    texts = [between.join(LINES[number] for number in document) for document in documents]
    settings = Repeats(units=kinds, min_words=1, sentences=width, min_doc_words=words, min_doc_sentences=sentences)
    goes, _ = rounds(texts, settings, parts, memory_bytes=memory)
    expected = one_by_one(texts, settings)
    assert goes == [gone for _, gone in expected]
    # Nothing is lost: each line of a document that stays still stands in one of them.
    before = {number for document, gone in zip(documents, goes, strict=True) if not gone for number in document}
    after = {number for left, gone in expected if not gone for number in before if LINES[number] in left}
    assert after == before


def test_a_chain_is_followed_to_its_end() -> None:
    """Each document shares a line with the next, and one cut is one too many: every second one stays."""
    texts = [f"{LINES[number]}\n{LINES[number + 1]}" for number in range(21)]
    goes, found = rounds(texts, Repeats(units=("lines",), min_words=1, min_doc_words=10), parts=3)
    assert goes == [bool(number % 2) for number in range(21)]
    assert found.rounds > 10
    apart, found = rounds(texts[::2], Repeats(units=("lines",), min_words=1, min_doc_words=10))
    assert not any(apart)
    assert found.rounds == 1


# ---------------------------------------------------------------------------------------------------------
# The whole stage


def test_what_a_dropped_document_held_stays_in_the_next(tmp_path: Path) -> None:
    rng = random.Random(1)
    first, second, third = by_id([{"name": name} for name in "abc"])
    common, rare = sentence(rng, 30), sentence(rng, 8)
    texts = {
        first: f"{common}\n{sentence(rng, 30)}",
        second: f"{common}\n{rare}",
        third: f"{rare}\n{common}\n{sentence(rng, 30)}",
    }
    crawls = {"crawl": {"a": [{"name": name, "text": text} for name, text in texts.items()]}}
    corpus = made(tmp_path, crawls, JUDGED)
    run(corpus, crawls)
    left = texts[third].replace(f"{common}\n", "")
    assert said(corpus) == {
        first: (texts[first], None),
        second: (rare, "repeats_too_few_words"),
        third: (left, None),  # of which the rare line, in no other document that stays
    }
    counts = lineage.repeats(corpus, "crawl").finished()["counts"]
    assert counts == {
        "read": 3,
        "kept": 2,
        "dropped": {"repeats_too_few_words": 1},
        "spans": {"repeated_lines": 2},
    }


def chained(seed: int, num: int) -> list[dict[str, str]]:
    """Documents of a few lines each, most of which others have too."""
    rng = random.Random(seed)
    return [
        {"name": f"{seed}-{number}", "text": "\n".join(rng.choices(LINES, k=rng.randint(4, 9)))}
        for number in range(num)
    ]  # fmt: skip


def judged(corpus: Corpus) -> dict[str, tuple[str, bool]]:
    return {name: (text, why is not None) for name, (text, why) in said(corpus).items()}


def test_any_memory_and_files_give_what_one_by_one_gives(tmp_path: Path) -> None:
    rows = chained(1, 60)
    crawls = {"crawl": {"a": rows[:25], "b": rows[25:]}}
    turned = {"crawl": {"c": rows[50::-1], "b": rows[51:]}}
    corpus, backwards = made(tmp_path / "1", crawls, JUDGED), made(tmp_path / "2", turned, JUDGED)
    small = made(tmp_path / "3", crawls, [*JUDGED, "engine.memory_bytes=20000"])
    for one, files in ((corpus, crawls), (small, crawls), (backwards, turned)):
        run(one, files)
    names, texts = by_id(rows), {row["name"]: row["text"] for row in rows}
    expected = one_by_one([texts[name] for name in names], corpus.settings.repeats)
    assert judged(corpus) == dict(zip(names, expected, strict=True))
    assert 5 < sum(gone for _, gone in expected) < 55
    assert digests(corpus, "crawl") == digests(small, "crawl")
    assert judged(backwards) == judged(corpus)


@pytest.mark.slow
def test_two_processes_settle_the_same(tmp_path: Path) -> None:
    crawls = {"crawl": {name: chained(seed, 20) for seed, name in enumerate("abcd")}}
    alone, several = made(tmp_path / "1", crawls, JUDGED), made(tmp_path / "2", crawls, [*JUDGED, "engine.workers=2"])
    run(alone, crawls)
    run(several, crawls)
    assert any(gone for _, gone in judged(alone).values())
    assert digests(alone, "crawl") == digests(several, "crawl")


def test_later_crawls_are_judged_after_all_before_them_and_stopped_runs_go_on(tmp_path: Path) -> None:
    old, new, more = chained(2, 20), chained(3, 20), chained(4, 20)
    crawls = {"one": {"x": old}, "two": {"y": new, "z": more}}
    corpus = made(tmp_path, crawls, JUDGED)
    run(corpus, crawls)
    texts = {row["name"]: row["text"] for row in [*old, *new, *more]}
    order = [*by_id(old), *by_id([*new, *more])]
    expected = one_by_one([texts[name] for name in order], corpus.settings.repeats)
    assert judged(corpus) == dict(zip(order, expected, strict=True))
    whole, stage = digests(corpus, "two"), lineage.repeats(corpus, "two")
    corpus.workspace.delete(*stage.steps, f"{min(stage.sidecars())}.json")
    corpus.workspace.delete(*stage.steps, "manifest.json")
    assert run_repeats(corpus, "two").reused == 1
    assert digests(corpus, "two") == whole
