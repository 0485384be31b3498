"""Items with choices: what of them is looked for, however their answer is written and pages print the choices."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from test_contamination import FILLER, found, written

from pipelines.contamination.evaluations import item_texts, load, read_items
from pipelines.contamination.evidence import contamination, report
from pipelines.contamination.index import NgramIndex
from pipelines.settings import Decontamination, EvalSet

FIELDS = EvalSet(name="x", path="x").fields
QUESTION = "Which of these birds builds no nest of its own?"  # 10 words
CHOICES = [
    "a barn swallow under the roof of a farm",
    "a stork that comes back in spring every single year without being called by anybody at all",
    "a cuckoo in the reeds",
    "a wren behind the ivy on a wall",
]
RIGHT = 2


def bird(answer: Any) -> dict[str, Any]:
    return {"id": "bird", "question": QUESTION, "choices": CHOICES, "answer": answer}


@pytest.mark.parametrize(
    "answer", [RIGHT, "C", CHOICES[RIGHT], f" {CHOICES[RIGHT]}\n"], ids=["place", "letter", "text", "stripped"]
)
def test_how_an_answer_is_written_changes_nothing(tmp_path: Path, answer: Any) -> None:
    assert item_texts(bird(answer), FIELDS, 13) == item_texts(bird(RIGHT), FIELDS, 13)
    settings = Decontamination(sets=(written(tmp_path, "birds", [bird(answer)]),))
    told = f"{QUESTION} {CHOICES[RIGHT]}"
    table = contamination(pa.array([f"{FILLER} {told} {FILLER}"]), settings)
    (span,) = table["contaminated_spans"].to_pylist()[0]
    assert (span["item"], span["share"]) == ("bird", 1.0)
    assert found(told, settings) == [("bird", told)]


@pytest.mark.parametrize("answer", ["B", 1, "Titan"])
def test_a_short_items_answer_counts_and_its_letter_does_not(tmp_path: Path, answer: Any) -> None:
    """Whole, an item of seven words is one n-gram, which no page ends with the letter of the answer."""
    moon = {"id": "moon", "question": "Name Saturn's largest moon.", "choices": ["Rhea", "Titan"], "answer": answer}
    settings = Decontamination(sets=(written(tmp_path, "moons", [moon]),))
    assert found("Name Saturn's largest moon. Titan!", settings) == [("moon", "Name Saturn's largest moon. Titan!")]
    assert [item for item, _ in found("Name Saturn's largest moon. 1) Rhea 2) Titan", settings)] == []
    assert [item for item, _ in found("Name Saturn's largest moon:\n* Rhea\n* Titan", settings)] == ["moon"]
    assert found("Name Saturn's largest moon. Rhea?", settings) == []


def test_a_question_above_a_list_of_its_choices_is_found(tmp_path: Path) -> None:
    settings = Decontamination(sets=(written(tmp_path, "birds", [bird(RIGHT)]),))
    page = "\n- ".join([QUESTION, *CHOICES])
    [(item, span)] = found(f"{FILLER} {page}", settings)
    assert item == "bird"
    assert span.startswith(QUESTION)
    assert found(f"{FILLER} {QUESTION} {FILLER}", settings) == []  # of fewer words than an n-gram


def test_a_wrong_answer_alone_accuses_nobody(tmp_path: Path) -> None:
    for answer in (RIGHT, "C", CHOICES[RIGHT]):
        settings = Decontamination(sets=(written(tmp_path, "birds", [bird(answer)]),))
        assert found(f"{FILLER} {CHOICES[1]} {FILLER}", settings) == []
        assert found(" ".join(CHOICES), settings) == []
    unknown = Decontamination(sets=(written(tmp_path, "birds", [bird(None)]),))
    assert [item for item, _ in found(f"{FILLER} {CHOICES[1]} {FILLER}", unknown)] == ["bird"]  # any may be right


def test_readings_of_one_item_are_one_span_and_the_larger_share(tmp_path: Path) -> None:
    question = " ".join(f"word{number}" for number in range(20))
    item = {"id": "long", "question": question, "choices": ["alpha beta gamma", "delta epsilon"], "answer": 1}
    settings = Decontamination(sets=(written(tmp_path, "long", [item]),))
    texts = pa.array([f"{question} alpha beta gamma delta epsilon", f"{question} delta epsilon", f"{question} x"])
    table = contamination(texts, settings)
    spans = table["contaminated_spans"].to_pylist()
    assert [len(row) for row in spans] == [1, 1, 1]
    assert [row[0]["share"] for row in spans] == [1.0, 1.0, pytest.approx(8 / 10)]
    assert [row[0]["end"] for row in spans] == [len(texts[0].as_py()), len(texts[1].as_py()), len(question)]
    assert table["contaminated_ngrams"].to_pylist() == [8 + 5, 8 + 2, 8]
    told = report([(pa.array(["a", "b", "c"]), table)], settings)["long"]
    assert (told.items, told.skipped, told.found, told.documents) == (1, 0, 1, 3)


def test_windows_of_other_widths_make_one_span_only_where_they_meet(tmp_path: Path) -> None:
    """The question with the right answer has 12 words and windows of 8, the one above its list windows of 13."""
    settings = Decontamination(sets=(written(tmp_path, "birds", [{**bird(0), "choices": ["a wren", *CHOICES]}]),))
    item = load(settings).items[0]
    assert (len(item.text.split()), len(item.listed.split())) == (12, 22)
    first, rest = item.listed.split()[:13], item.text.split()[4:]
    apart = " ".join([*first, FILLER, *rest])
    assert found(apart, settings) == [("bird", " ".join(first)), ("bird", " ".join(rest))]
    assert found(" ".join(item.listed.split()), settings) == [("bird", item.listed)]


def test_a_second_reading_makes_no_phrase_of_evidence() -> None:
    """Seven questions that end alike have seven right answers after that end, and seven first choices."""
    end = "after all that was said and done in the long dry summer before the rains came at last"
    texts = [f"question {number} {end} right{number}" for number in range(7)]
    again = [f"question {number} {end} first{number} right{number}" for number in range(7)]
    settings = Decontamination(max_contexts=7)
    assert NgramIndex(texts, settings, again=again).num_phrases == 0
    assert NgramIndex([*texts, *again], settings).num_phrases > 0
    assert NgramIndex(texts, settings, again=[*again, *again[::-1]]).num_phrases == 0
    phrases = [f"this {number} {end} that{number}" for number in range(8)]
    assert NgramIndex([*texts, *phrases], settings, again=again).num_phrases > 0


def test_real_items_are_found_with_their_answer_and_above_their_choices(shared: Path) -> None:
    for name in ("openbookqa", "copa"):
        path = shared / "evals" / f"{name}.jsonl"
        one = EvalSet(name=name, path=str(path))
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        pages = [f"{record['question']} {record['choices'][record['answer']]}" for record in records]
        pages += ["\n".join([record["question"], *record["choices"]]) for record in records]
        table = contamination(pa.array(pages), Decontamination(sets=(one,)))
        spans = table["contaminated_spans"].to_pylist()
        items = [item.id for item in read_items(one)]
        names = [{span["item"] for span in mine} for mine in spans]
        missed = [page for page, item, mine in zip(pages, items * 2, names, strict=True) if item not in mine]
        assert not [page for page in missed if len(page.split()) >= Decontamination().min_words]
        shares = np.asarray(table["contaminated_share"])[: len(records)]  # of pages with question and right answer
        assert (shares == 1).sum() >= len(records) - len(missed)
