"""Items of tests in documents: what is found, where, and what becomes of it; held against plain Python."""

import gzip
import json
import random
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipelines.configuration import validated
from pipelines.contamination.evaluations import item_texts, load, read_items
from pipelines.contamination.evidence import (
    SCHEMA,
    check_dataset,
    contamination,
    reasons,
    report,
    together,
)
from pipelines.contamination.index import NgramIndex, _words
from pipelines.errors import InputError, SettingsError
from pipelines.settings import Decontamination, EvalSet
from pipelines.text.words import exact_chunk

LONG = (
    "A farmer wants to know why the well behind her barn ran dry in the spring, although the river next to it "
    "carried more water than in any year before."
)
SHORT = "Which mineral scratches glass but never quartz itself?"  # 8 words
TINY = "Name Saturn's largest moon."  # 5 words
FILLER = "quick reports say nothing that any reader would call new or even slightly surprising today"


def written(folder: Path, name: str, items: list[dict[str, Any]]) -> EvalSet:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return EvalSet(name=name, path=str(path))


@pytest.fixture
def tests(tmp_path: Path) -> Decontamination:
    riddles = written(
        tmp_path,
        "riddles",
        [
            {"id": "long", "question": LONG, "choices": ["The pump broke.", "The clay swelled shut."], "answer": 1},
            {"id": "short", "question": SHORT},
            {"id": "tiny", "question": TINY},
            {"id": "none", "question": "Why?"},
        ],
    )
    return Decontamination(sets=(riddles,))


def found(text: str, settings: Decontamination) -> list[tuple[str, str]]:
    """(item, what its span covers)"""
    (spans,) = contamination(pa.array([text]), settings)["contaminated_spans"].to_pylist()
    return [(span["item"], text.encode()[span["start"] : span["end"]].decode()) for span in spans]


def test_a_verbatim_item_is_found_with_its_place_and_its_share(tests: Decontamination) -> None:
    table = contamination(pa.array([FILLER, f"Größe: {LONG} {FILLER}", ""]), tests)
    assert table.schema == SCHEMA
    assert table["contaminated_by"].to_pylist() == [[], ["riddles"], []]
    (span,) = table["contaminated_spans"].to_pylist()[1]
    assert f"Größe: {LONG} {FILLER}".encode()[span["start"] : span["end"]].decode() == LONG
    num_words = len(LONG.split())
    assert span["share"] == pytest.approx((num_words - 12) / (num_words + 4 - 12))  # all but those of the answer
    assert table["contaminated_share"].to_pylist() == [0, pytest.approx(span["share"]), 0]
    assert table["contaminated_ngrams"].to_pylist() == [0, num_words - 12, 0]
    assert reasons(table, tests).to_pylist() == [None, "contaminated", None]


@pytest.mark.parametrize(
    "text",
    [
        LONG.upper(),
        LONG.replace(" ", "\n\t "),
        LONG.replace(",", " --").replace(".", "!"),
        "«" + LONG.replace(" ", " *", 3) + "»",
        LONG.replace("well", "wéll").replace("dry", "\u200bdry"),
    ],
    ids=["case", "space", "punctuation", "marks", "diacritics"],
)
def test_spelling_hides_no_item(tests: Decontamination, text: str) -> None:
    assert [item for item, _ in found(f"{FILLER} {text} {FILLER}", tests)] == ["long"]


def test_thirteen_words_in_a_row_are_needed_and_enough(tests: Decontamination) -> None:
    words = LONG.split()
    assert found(" ".join([FILLER, *words[3:16], FILLER]), tests) == [("long", " ".join(words[3:16]))]
    assert found(" ".join([FILLER, *words[3:15], FILLER]), tests) == []
    interrupted = [*words[:8], "really", *words[8:20], "so", *words[20:]]
    assert found(" ".join(interrupted), tests) == []
    assert found(" ".join(interrupted), tests.model_copy(update={"ngram": 12})) == [("long", " ".join(words[8:20]))]


def test_question_and_right_answer_are_one_text(tests: Decontamination) -> None:
    end = LONG.split()[-9:]
    assert found(" ".join([*end, "The clay swelled shut."]), tests) == [
        ("long", " ".join([*end, "The clay swelled shut."]))
    ]
    assert found(" ".join([*end, "The pump broke."]), tests) == []


def test_short_items_count_as_eight_words_or_whole(tests: Decontamination) -> None:
    assert found(f"{FILLER} {SHORT} {FILLER}", tests) == [("short", SHORT)]
    assert found(f"{FILLER} {' '.join(SHORT.split()[1:])} {FILLER}", tests) == []
    assert found(f"Quick: name SATURNS largest moon. {TINY}", tests) == [("tiny", TINY)]  # "Saturn's" is two words
    assert found(f"{FILLER} Why? Why?", tests) == []


@pytest.mark.parametrize(
    ("fields", "accused"),
    [(("choices",), {2}), (("question",), {1}), (("question", "choices"), {1, 2, 3})],
    ids=["answer", "question", "both and their border"],
)
def test_fields_say_which_part_of_an_item_counts(tmp_path: Path, fields: tuple[str, ...], accused: set[int]) -> None:
    """The three ways that published n-gram filters know: labels, queries, and what lies across both."""
    question = "She ties both boots on the porch, checks the map once more, and"
    answer = "walks up the narrow path until the hut with the red roof comes into sight."
    wrong = "sells the boots to a man who has been looking for such a pair for years."
    item = {"question": question, "choices": [wrong, answer], "answer": 1}
    one = written(tmp_path, "stories", [item]).model_copy(update={"fields": fields})
    settings = Decontamination(sets=(one,), ngram=12)
    words = answer.split()
    texts = [
        FILLER,
        f"{FILLER} {question} {FILLER}",
        f"{FILLER} {answer} {FILLER}",
        f"{FILLER} checks the map once more, and {' '.join(words[:7])} {FILLER}",
        f"{FILLER} {wrong} {FILLER}",
        " ".join([FILLER, *words[:11], FILLER]),
        "short",
    ]
    found = contamination(pa.array(texts), settings)["contaminated_share"].to_pylist()
    assert {row for row, share in enumerate(found) if share} == accused


def test_translations_are_not_found(tests: Decontamination) -> None:
    assert (
        found("Eine Bäuerin will wissen, warum der Brunnen hinter ihrer Scheune im Frühjahr trocken fiel.", tests) == []
    )


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    item = "Add 1 2 3 4 5 6 7 8 9 10 11 12 and then 13 more"
    settings = Decontamination(sets=(written(tmp_path, "sums", [{"text": item}]),))
    assert found(item, settings) == [("1", item)]
    assert found(item.replace("7", "8"), settings) == []


def test_scripts_without_spaces_are_matched_by_characters(tmp_path: Path) -> None:
    item = "石油在地下形成需要很长时间并且不能很快再生"
    settings = Decontamination(sets=(written(tmp_path, "zh", [{"text": item}]),))
    assert [name for name, _ in found(f"问题：{item}。答案", settings)] == ["1"]
    assert found(item[:12], settings) == []


def test_where_texts_are_cut_into_arrays_changes_nothing(tests: Decontamination) -> None:
    texts = [FILLER, LONG, "", f"x {SHORT}", None, f"{TINY} y", FILLER] * 3
    whole = contamination(pa.array(texts), tests)
    pieces = pa.chunked_array([texts[:2], [], texts[2:7], texts[7:]], pa.large_string())
    assert contamination(pieces, tests).equals(whole)
    assert contamination(pa.array([FILLER, *texts]).slice(1), tests).equals(whole)


def test_batches_change_nothing(tests: Decontamination, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array([f"{FILLER} {LONG}", SHORT, FILLER, LONG] * 5)
    whole = contamination(texts, tests)
    monkeypatch.setattr("pipelines.contamination.index.BATCH_BYTES", 100)
    assert contamination(texts, tests).equals(whole)


# ---------------------------------------------------------------------------------------------------------
# Held against plain Python


def plain_windows(texts: list[str], items: list[str], settings: Decontamination) -> set[tuple[int, int, int]]:
    """(document, first word, item) by comparing every window with every other."""

    def words(text: str) -> list[str]:
        return [word for chunk in text.split() for word in exact_chunk(chunk)]

    hits = set()
    for number, item in enumerate(map(words, items)):
        if len(item) < settings.min_words:
            continue
        width = next((n for n in (settings.ngram, settings.short_ngram) if len(item) >= n), len(item))
        windows = {tuple(item[first : first + width]) for first in range(len(item) - width + 1)}
        for row, text in enumerate(map(words, texts)):
            hits |= {
                (row, first, number)
                for first in range(len(text) - width + 1)
                if tuple(text[first : first + width]) in windows
            }
    return hits


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_ascii_are_those_of_every_text(text: str) -> None:
    for chunk in text.split():
        assert _words(chunk) == exact_chunk(chunk)


FEW_WORDS = st.lists(st.sampled_from(["a", "b,", "B", "c-a", "é", "1.5", "z", "中文"]), max_size=25).map(" ".join)


@examples(max_examples=150, deadline=None)
@given(st.lists(FEW_WORDS, max_size=6), st.lists(FEW_WORDS, max_size=6))
def test_the_index_finds_what_plain_comparison_finds(texts: list[str], items: list[str]) -> None:
    settings = Decontamination(ngram=6, short_ngram=5, min_words=4, max_contexts=0)
    index = NgramIndex(items, settings)
    hits = index.find(pa.array(texts, pa.string()))
    which, of_item = index.items_of(hits.ngrams)
    ours = set(zip(hits.documents[which].tolist(), hits.places[which].tolist(), of_item.tolist(), strict=True))
    assert ours == plain_windows(texts, items, settings)


def test_equal_hashes_accuse_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one hash for every word, all n-grams of a width collide; words still decide."""
    monkeypatch.setattr("pipelines.contamination.index.xxhash.xxh3_64_intdigest", lambda _: 1)
    items = [LONG, "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"]
    index = NgramIndex(items, Decontamination())
    assert len(set(index.keys.tolist())) == 1
    words = LONG.split()
    assert len(index.find(pa.array([" ".join(words[::-1])])).ngrams) == 0
    assert len(index.find(pa.array([LONG, items[1]])).ngrams) == len(words) - 12 + 2


def test_hostile_texts_take_no_longer_than_others(tmp_path: Path) -> None:
    """One word over and over, in the test and in the document, is the worst for rolling hashes."""
    settings = Decontamination(sets=(written(tmp_path, "same", [{"text": "no " * 500}]),))
    load(settings)
    started = time.perf_counter()
    (spans,) = contamination(pa.array(["no " * 1_000_000]), settings)["contaminated_spans"].to_pylist()
    assert time.perf_counter() - started < 10
    assert [(span["start"], span["end"]) for span in spans] == [(0, 2_999_999)]


# ---------------------------------------------------------------------------------------------------------
# What becomes of it


def test_the_tests_own_phrases_are_no_evidence_but_shared_passages_are(tmp_path: Path) -> None:
    phrase = "which of the following statements best describes the most important reason that the"
    phrased = [{"id": f"p{n}", "question": f"Item {n}: {phrase} noun{n} did it then and there?"} for n in range(12)]
    passage = [{"id": f"q{n}", "question": f"{LONG} What is number {n} here?"} for n in range(12)]
    sets = (written(tmp_path, "phrased", phrased), written(tmp_path, "passage", passage))
    settings = Decontamination(sets=sets)
    assert found(f"I ask {phrase} answer matters", settings) == []
    assert len(found(f"I ask {phrase} answer matters", settings.model_copy(update={"max_contexts": 0}))) == 12
    assert {item for item, _ in found(LONG, settings)} == {f"q{n}" for n in range(12)}


def test_the_rule_is_applied_late(tests: Decontamination) -> None:
    words = LONG.split()
    table = contamination(pa.array([" ".join(words[:14]), LONG]), tests)
    assert reasons(table, tests).to_pylist() == ["contaminated"] * 2
    assert reasons(table, tests.model_copy(update={"min_share": 0.5})).to_pylist() == [None, "contaminated"]
    assert reasons(table, tests.model_copy(update={"action": "report"})).to_pylist() == [None, None]
    assert contamination(pa.array([LONG]), tests.model_copy(update={"min_share": 1.0})).num_rows == 1


def test_the_report_names_items_documents_and_shares(tests: Decontamination) -> None:
    first = contamination(pa.array([FILLER, f"{LONG} The clay swelled shut. {SHORT}"]), tests)
    other = contamination(pa.array([LONG]), tests)
    parts = [(pa.array(["a", "b"]), first), (pa.array(["c"]), other)]
    told = report(parts, tests)["riddles"]
    assert (told.items, told.skipped, told.found, told.documents) == (4, 1, 2, 2)
    assert told.share == pytest.approx(2 / 3)
    assert told.examples == [
        {"document": "b", "item": "long", "share": 1.0},
        {"document": "b", "item": "short", "share": 1.0},
    ]
    assert report(parts[::-1], tests)["riddles"] == told


def test_a_dataset_is_checked_shard_by_shard(tests: Decontamination) -> None:
    clean = ("shard_0.parquet", pa.array([FILLER] * 10))
    dirty = [("shard_1.parquet", pa.array(texts)) for texts in ([FILLER, SHORT], [FILLER, LONG])]
    assert check_dataset([clean], tests).contaminated == 0
    seen = check_dataset([clean, *dirty], tests.model_copy(update={"action": "report"}))
    assert (seen.documents, seen.contaminated, seen.by_task) == (14, 2, {"riddles": 2})
    assert [(one.shard, one.row, one.item, one.excerpt) for one in seen.examples] == [
        ("shard_1.parquet", 1, "short", SHORT),
        ("shard_1.parquet", 3, "long", LONG),
    ]
    assert together([check_dataset([clean], tests), check_dataset(dirty, tests)]) == seen


# ---------------------------------------------------------------------------------------------------------
# Sets


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"question": "Q?", "choices": ["x", "y"], "answer": 1}, "Q? y"),
        ({"question": "Q?", "choices": ["x", "y"], "answer": "A"}, "Q? x"),  # a letter is no word of the item
        ({"question": "Q?", "choices": ["x", " y"], "answer": "y "}, "Q?  y"),
        ({"question": "Q", "choices": None, "answer": "signs"}, "Q signs"),
        ({"question": None, "choices": ["I", "You"], "continuation": "went.", "answer": 0}, "I went."),
        ({"question": "Q?", "choices": ["x", "y"]}, "Q? x y"),
        ({"question": "Q?", "choices": ["x"], "answer": 7}, "Q? x"),
        ({"text": "half \ud800 pair", "answer": True}, "half ? pair"),
        ({"other": "Q"}, ""),
    ],
)
def test_an_items_text_is_its_fields_in_a_row(record: dict[str, Any], text: str) -> None:
    assert item_texts(record, EvalSet(name="x", path="x").fields, 13)[0] == text


def test_a_set_that_cannot_be_read_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.jsonl, which is no file"):
        read_items(EvalSet(name="a", path=str(tmp_path / "gone.jsonl")))
    broken = tmp_path / "broken.jsonl"
    for line in (b'{"text": "cut', b'["list"]', b'{"text": "\xff"}', b"[" * 200_000):
        broken.write_bytes(b'{"text": "fine"}\n' + line + b"\n")
        with pytest.raises(InputError, match=r"broken\.jsonl:2"):
            read_items(EvalSet(name="a", path=str(broken)))
    with pytest.raises(InputError, match="no item has text in any of body"):
        read_items(written(tmp_path, "b", [{"text": "x"}]).model_copy(update={"fields": ("body",)}))
    packed = tmp_path / "cut.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"text": "fine"}\n' * 1000)[:-20])
    with pytest.raises(InputError, match=r"cut\.jsonl\.gz.*to its end"):
        read_items(EvalSet(name="a", path=str(packed)))


def test_settings_say_what_does_not_fit() -> None:
    with pytest.raises(SettingsError, match=r"min_words \(9\) <= short_ngram \(8\)"):
        validated({"decontamination": {"min_words": 9}})
    one = {"name": "a", "path": "x"}
    with pytest.raises(SettingsError, match="share a name: a, a"):
        validated({"decontamination": {"sets": [one, one]}})


def test_no_sets_find_nothing() -> None:
    table = contamination(pa.array([LONG, None]), Decontamination())
    assert table["contaminated_by"].to_pylist() == [[], []]
    assert reasons(table, Decontamination()).to_pylist() == [None, None]


def test_real_tests_in_real_documents(shared: Path) -> None:
    """Items planted among natural documents are found, and the documents themselves hold hardly any."""
    sets = tuple(EvalSet(name=name, path=str(shared / "evals" / f"{name}.jsonl")) for name in ("arc_easy", "copa"))
    settings = Decontamination(sets=sets)
    with gzip.open(shared / "domains" / "encyclopedia_en.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in islice(file, 300)]
    items = load(settings).items
    chosen = random.Random(5).sample([item for item in items if len(item.text.split()) >= 8], 40)
    planted = [f"{text}\n{item.text}" for text, item in zip(texts, chosen, strict=False)]
    spans = contamination(pa.array(planted), settings)["contaminated_spans"].to_pylist()
    for item, mine in zip(chosen, spans, strict=True):
        assert (item.task, item.id, 1.0) in [(span["task"], span["item"], span["share"]) for span in mine]
    clean = np.asarray(contamination(pa.array(texts), settings)["contaminated_share"])
    assert (clean > 0).mean() < 0.01
