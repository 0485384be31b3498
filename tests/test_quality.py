"""Signals against values computed by hand and by plain loops; verdicts in the order of the rules."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SettingsError
from pipelines.quality.signals import COLUMNS, RULES, SIGNALS, reasons, signals, verdicts
from pipelines.settings import Quality
from pipelines.text.stopwords import STOP_WORDS, UNSPACED_LANGUAGES
from pipelines.text.words import num_sentences, words

FEW_WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "d", "\u4e2d", ".", "e\n", "\n\n", "-x"]), max_size=60).map(
    " ".join
)
PROSE = (
    "The river rises in the northern hills and flows through three counties before it meets the sea. Most of "
    "its valley is farmland that has been worked since the early middle ages. Two of the older mills have kept "
    "their wheels. One of them still grinds flour to order, and visitors can walk up to the weir in summer. "
    "A railway followed the lower course until 1964. Its bed is a footpath now."
)


def every(n: int, mark: str) -> str:
    """The prose with a mark behind every n-th word."""
    return " ".join(word + mark * (place % n == 0) for place, word in enumerate(PROSE.split(), 1))


def one(text: str, language: str = "en", edited: str | None = None) -> dict[str, Any]:
    return dict(signals([text], [language], None if edited is None else [edited]).to_pylist()[0])


def judged(text: str, language: str = "en", score: float = 1.0, **settings: Any) -> str | None:
    table = signals([text], [language])
    table = table.append_column("language", pa.array([language])).append_column("language_score", pa.array([score]))
    return verdicts(table, Quality(**settings)).to_pylist()[0]


def test_words_by_hand() -> None:
    row = one("The cat, 42 # of\u2026 and!")  # The cat , 42 # of ... and !
    assert row["num_words"] == 5
    assert row["mean_word_length"] == pytest.approx((3 + 3 + 2 + 2 + 3) / 5)
    assert row["hash_ratio"] == pytest.approx(1 / 9)
    assert row["ellipsis_ratio"] == pytest.approx(1 / 9)
    assert row["alpha_words"] == pytest.approx(4 / 9)
    assert row["stop_words_english"] == 2  # of, and; "The" has a capital


def test_stop_words_count_once_and_by_language() -> None:
    assert one("de la de la perro", "es")["stop_words_own"] == 2
    assert one("of the of the", "es")["stop_words_own"] == 0
    assert one("anything at all", "xx")["stop_words_own"] == -1
    assert one("\u6211\u7684\u662f\u5728", "zh")["stop_words_own"] == 3


def test_lines_by_hand() -> None:
    row = one("- one\n\u2022 two\nthree...\nfour\u2026 \nfive")
    assert row["bullet_lines"] == pytest.approx(2 / 5)
    assert row["ellipsis_lines"] == pytest.approx(2 / 5)
    text = "abc\n\nabc\n\nxy\nabc"
    row = one(text)
    assert row["dup_paragraphs"] == pytest.approx(1 / 3)  # "abc", "abc", "xy\nabc"
    assert row["dup_paragraph_chars"] == pytest.approx(3 / len(text))
    assert row["dup_lines"] == pytest.approx(2 / 4)
    assert row["dup_line_chars"] == pytest.approx(6 / len(text))


def test_ngrams_by_hand() -> None:
    text = "a b a b c"
    row = one(text)
    assert row["top_2gram"] == pytest.approx(2 * 3 / 9)  # "a b" twice
    assert row["top_3gram"] == pytest.approx(5 / 9)  # once counts too
    assert row["dup_5gram"] == 0
    text = "a b c d e a b c d e f"
    assert one(text)["dup_5gram"] == pytest.approx(5 / len(text))
    assert one(text)["dup_6gram"] == 0


def test_edited_by_hand() -> None:
    row = one("not looked at {", edited="A first line that is rather long. Yes.\nshort one\nshort one")
    assert row["edited_num_sentences"] == 4
    assert row["edited_line_punctuation"] == pytest.approx(1 / 3)
    assert row["edited_short_lines"] == pytest.approx(2 / 3)
    assert row["edited_dup_chars"] == pytest.approx(9 / (38 + 18))
    assert row["edited_list_ratio"] == pytest.approx(2 / 14)
    assert row["edited_num_words"] == 14
    assert not row["edited_curly_bracket"]
    assert one("x", edited="a { b")["edited_curly_bracket"]
    assert one("x", edited="Lorem IPSUM dolor")["edited_lorem_ipsum"]


def slow_top(found: list[str], n: int) -> int:
    counted = Counter(tuple(found[i : i + n]) for i in range(len(found) - n + 1))
    if not counted:
        return 0
    best = max(counted.values())
    gram = next(gram for gram in counted if counted[gram] == best)
    return len(" ".join(gram)) * best


def slow_repeated(found: list[str], n: int) -> int:
    seen, chars, place = set(), 0, 0
    while place < len(found) - n + 1:
        gram = tuple(found[place : place + n])
        if gram in seen:
            chars += sum(map(len, gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return chars


@given(st.lists(FEW_WORDS | st.text(), max_size=5))
def test_against_plain_loops(texts: list[str]) -> None:
    table = signals(texts, ["en"] * len(texts))
    assert table.schema == SIGNALS
    for text, row in zip(texts, table.to_pylist(), strict=True):
        found, chars = words(text), max(1, len(text))
        for n in (2, 3, 4):
            assert row[f"top_{n}gram"] == pytest.approx(slow_top(found, n) / chars)
        for n in range(5, 11):
            assert row[f"dup_{n}gram"] == pytest.approx(slow_repeated(found, n) / chars)
        assert row["edited_num_sentences"] == sum(num_sentences(line) for line in text.splitlines())
        assert row["edited_num_words"] == len(found)
        assert row["num_chars"] == len(text)
        assert all(np.isfinite(value) for value in row.values())


@given(st.lists(FEW_WORDS, min_size=1, max_size=6), st.randoms())
def test_a_row_depends_on_its_text_only(texts: list[str], random: Any) -> None:
    whole = signals(texts, ["fr"] * len(texts)).to_pylist()
    order = list(range(len(texts)))
    random.shuffle(order)
    again = signals([texts[i] for i in order], ["fr"] * len(texts)).to_pylist()
    assert again == [whole[i] for i in order]


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [PROSE[i:] for i in range(0, len(PROSE), 7)] + [""]
    whole = signals(texts, ["en"] * len(texts))
    monkeypatch.setattr("pipelines.quality.signals.SLICE_CHARS", 500)
    monkeypatch.setattr("pipelines.text.words.MAX_REMEMBERED", 10)
    assert signals(texts, ["en"] * len(texts)).equals(whole)


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", ".", "a", "#", "\u2026", "\ufffd", "\u4e2d"])
def test_tiny_texts_get_a_reason_not_an_error(text: str) -> None:
    assert judged(text) is not None
    free: dict[str, Any] = dict.fromkeys(["min_words", "min_mean_word_length", "min_stop_words", "min_sentences"], 0)
    free |= {"rules": ("gopher_quality", "c4"), "min_alpha_words": 0, "max_symbol_ratio": 9, "max_ellipsis_lines": 1}
    assert judged(text, **free) == (None if text.strip() else "empty")


def test_no_rows() -> None:
    table = signals([], [])
    assert table.schema == SIGNALS
    assert table.num_rows == 0


def test_lengths_must_match() -> None:
    with pytest.raises(ValueError, match="1 texts"):
        signals(["a"], [])


def test_prose_is_kept() -> None:
    assert judged(PROSE) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("too short.", "top_2_gram"),
        (PROSE[:200], "gopher_short_doc"),
        ("\n\n".join([PROSE] * 2 + ["x"]), "dup_para_frac"),
        (PROSE + "\n\n" + PROSE + "\n\na b c\n\nd e f", "dup_para_char_frac"),
        ("\n".join([PROSE] * 2), "dup_line_frac"),
        (every(4, "#"), "gopher_too_many_hashes"),
        (every(5, "\u2026"), "gopher_too_many_ellipsis"),
        (PROSE.replace(". ", "...\n"), "gopher_too_many_end_ellipsis"),
        ("\n".join("- " + line for line in PROSE.split(". ")), "gopher_too_many_bullets"),
        (" ".join(f"{word} {i}" for i, word in enumerate(PROSE.split())), "gopher_below_alpha_threshold"),
        (" ".join(word * 4 for word in PROSE.split()), "gopher_above_avg_threshold"),
        (" ".join(word[:2] for word in PROSE.split()), "gopher_below_avg_threshold"),
        (PROSE.upper(), "gopher_enough_stop_words"),
        (PROSE + " { x }", "curly_bracket"),
        (PROSE + " Lorem ipsum dolor sit.", "lorem_ipsum"),
        (PROSE.replace(". ", " "), "too_few_sentences"),
        ("\n".join(PROSE.replace(".", "").split(" of ")), "too_few_sentences"),
    ],
)
def test_each_reason(text: str, reason: str) -> None:
    assert judged(text) == reason


def test_fineweb_reasons() -> None:
    only: dict[str, Any] = {"rules": ("fineweb",)}
    assert judged("", **only) == "empty"
    assert judged(PROSE.replace(".", ""), **only) == "line_punct_ratio"
    assert judged(every(4, ".\n"), **only) == "short_line_ratio"
    twice = "This line is written twice, that is enough.\n"
    assert judged(twice + PROSE + "\n" + twice, **only) == "char_dup_ratio"
    assert judged("\n" * 60 + PROSE, **only) == "list_ratio"


def test_language_comes_first_and_rules_in_their_order() -> None:
    assert judged("", language="de") == "language"
    assert judged("", score=0.5) == "language_score"
    assert judged("", language="de", score=0.5, languages=()) == "language_score"
    text = PROSE[:200] + " {"
    assert judged(text, rules=("gopher_quality", "c4")) == "gopher_short_doc"
    assert judged(text, rules=("c4", "gopher_quality")) == "curly_bracket"
    assert reasons(Quality(rules=("c4",))) == (
        ["language", "language_score", "lorem_ipsum", "curly_bracket", "too_few_sentences", "empty"]
    )


def test_thresholds_keep_what_is_equal_to_them() -> None:
    words_only: dict[str, Any] = {"rules": ("gopher_quality",), "max_symbol_ratio": 9}
    count = one(PROSE)["num_words"]
    assert judged(PROSE, min_words=count, **words_only) is None
    assert judged(PROSE, min_words=count + 1, **words_only) == "gopher_short_doc"
    assert judged(PROSE, max_words=count, **words_only) is None
    assert judged(PROSE, max_words=count - 1, **words_only) == "gopher_long_doc"


def test_languages_without_spaces_or_lists_pass_the_rules_that_do_not_fit_them() -> None:
    chinese = "\u4eca\u5929\u7684\u5929\u6c14\u662f\u5f88\u597d\u7684\u3002" * 20
    settings: dict[str, Any] = {"rules": ("gopher_quality",), "languages": (), "stop_words": "per_language"}
    assert judged(chinese, language="zh", **settings) is None
    assert judged(chinese, language="en", **settings) == "gopher_below_avg_threshold"
    assert judged(PROSE.upper(), language="xx", **settings) is None


def test_unknown_rules_are_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"gofer.*gopher_repetition"):
        judged("a", rules=("gofer",))


def test_nulls_in_the_language_are_no_language() -> None:
    table = signals([PROSE], ["en"])
    table = table.append_column("language", pa.nulls(1, pa.string())).append_column("language_score", pa.array([1.0]))
    assert set(COLUMNS) == set(table.column_names)
    assert verdicts(table, Quality()).to_pylist() == ["language"]
    assert verdicts(table, Quality(languages=())).type == pa.string()


def test_every_default_rule_group_exists() -> None:
    assert set(Quality().rules) <= set(RULES)


def test_stop_words_can_be_met() -> None:
    for language, listed in STOP_WORDS.items():
        assert len(listed) >= 8, language
        assert all(words(word) == [word] for word in listed), language
        if language in UNSPACED_LANGUAGES:
            assert all(len(word) == 1 for word in listed), language


def test_short_encyclopedia_leads_pass_the_demonstration_thresholds(shared: Path) -> None:
    settings = Quality(
        languages=("en", "es", "fr"),
        min_words=20,
        min_alpha_words=0.7,
        stop_words="per_language",
        min_sentences=0,
        max_top_ngrams=(0.25, 0.25, 0.25),
    )
    for language in ("en", "es", "fr"):
        with gzip.open(shared / "domains" / f"encyclopedia_{language}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for _, line in zip(range(1500), file, strict=False)]
        table = signals(texts, [language] * len(texts))
        table = table.append_column("language", pa.array([language] * len(texts)))
        table = table.append_column("language_score", pa.array([1.0] * len(texts)))
        assert verdicts(table, settings).null_count > 0.7 * len(texts), language
