"""Presets of rules: what they hold, how settings lay over them, and each reason by a text of its own."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from pipelines.configuration import load
from pipelines.errors import InputError, SettingsError
from pipelines.quality import rules
from pipelines.quality.rules import columns, described, preset, presets, reasons, verdicts
from pipelines.quality.signals import SIGNALS, signals
from pipelines.settings import Quality

PROSE = (
    "The river rises in the northern hills and flows through three counties before it meets the sea. Most of "
    "its valley is farmland that has been worked since the early middle ages. Two of the older mills have kept "
    "their wheels. One of them still grinds flour to order, and visitors can walk up to the weir in summer. "
    "A railway followed the lower course until 1964. Its bed is a footpath now."
)


def every(n: int, mark: str) -> str:
    """The prose with a mark behind every n-th word."""
    return " ".join(word + mark * (place % n == 0) for place, word in enumerate(PROSE.split(), 1))


def table_of(texts: list[str], language: str = "en", score: float = 1.0) -> pa.Table:
    table = signals(texts, [language] * len(texts))
    table = table.append_column("language", pa.array([language] * len(texts)))
    return table.append_column("language_score", pa.array([score] * len(texts)))


def judged(text: str, language: str = "en", score: float = 1.0, **settings: Any) -> str | None:
    found: str | None = verdicts(table_of([text], language, score), Quality(**settings)).to_pylist()[0]
    return found


def made(**values: Any) -> pa.Table:
    """One row of signals that every rule of every preset keeps, but for these values."""
    row: dict[str, Any] = {field.name: False if pa.types.is_boolean(field.type) else 0 for field in SIGNALS}
    row |= {"num_words": 100, "mean_word_length": 5.0, "alpha_words": 1.0, "stop_words_english": 5}
    row |= {"stop_words_own": 5, "third_longest_line": 200, "edited_num_words": 100, "edited_num_sentences": 9}
    row |= {"edited_line_punctuation": 1.0, "language": "en", "language_score": 1.0}
    return pa.Table.from_pylist([row | values])


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.toml").write_text(f'version = 1\nsource = "a test"\n{text}', encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty folder in the place of the shipped presets."""
    monkeypatch.setattr(rules, "PRESETS", tmp_path)
    preset.cache_clear()
    yield tmp_path
    preset.cache_clear()


# ---------------------------------------------------------------------------------------------------------
# The shipped presets


def test_prose_is_kept() -> None:
    for name in ("fineweb", "multilingual", "fineweb2", "technical", "demo"):
        assert judged(PROSE, preset=name) is None, name


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
def test_each_reason_of_fineweb(text: str, reason: str) -> None:
    assert judged(text) == reason


def test_finewebs_own_reasons() -> None:
    only: dict[str, Any] = {"preset": "datatrove-fineweb"}
    assert judged("", **only) == "empty"
    assert judged(PROSE.replace(".", ""), **only) == "line_punct_ratio"
    assert judged(every(4, ".\n"), **only) == "short_line_ratio"
    twice = "This line is written twice, that is enough.\n"
    assert judged(twice + PROSE + "\n" + twice, **only) == "char_dup_ratio"
    assert judged("\n" * 60 + PROSE, **only) == "list_ratio"


def test_paragraphs_of_mc4() -> None:
    long = ("word " * 40)[:199]
    assert judged("\n".join([long + "x"] * 3), preset="datatrove-c4-paragraphs") is None
    assert judged("\n".join([long + "x"] * 2 + [long]), preset="datatrove-c4-paragraphs") == "too_few_long_lines"


def test_every_rule_drops_beyond_its_limit_and_keeps_at_it() -> None:
    for name in presets():
        settings = Quality(preset=name, languages=())
        if not set(columns(settings)) <= {*SIGNALS.names, "language", "language_score"}:
            continue
        assert verdicts(made(), settings).to_pylist() == [None], name
        cases, tables = [], []
        for rule in rules.rules(settings):
            boolean = rule.signal in SIGNALS.names and pa.types.is_boolean(SIGNALS.field(rule.signal).type)
            step = 1 if rule.limit >= 1 or boolean else 1e-6
            for value, drops in ((rule.limit, rule.strict), (rule.limit + (-step if rule.least else step), True)):
                cases.append((rule.reason, value, drops))
                tables.append(made(**{rule.signal: bool(value) if boolean else value}))
        frame = pl.from_arrow(pa.concat_tables(tables, promote_options="permissive"))
        assert isinstance(frame, pl.DataFrame)
        found = frame.select(broken.alias(reason) for reason, broken in rules.judgements(settings))
        for row, (reason, value, drops) in enumerate(cases):
            assert found[reason][row] == drops, (name, reason, value)


def test_tiny_texts_get_a_reason_not_an_error() -> None:
    for text in ("", " ", "\n\n\n", ".", "a", "#", "\u2026", "\ufffd", "\u4e2d"):
        for name in presets():
            if set(columns(Quality(preset=name))) <= {*SIGNALS.names, "language", "language_score"}:
                assert judged(text, preset=name) is not None or text.strip(), (text, name)
        assert judged(text) is not None


def test_technical_keeps_what_fineweb_drops_of_documentation() -> None:
    assert verdicts(made(alpha_words=0.65), Quality()).to_pylist() == ["gopher_below_alpha_threshold"]
    assert verdicts(made(alpha_words=0.65), Quality(preset="technical")).to_pylist() == [None]
    assert verdicts(made(edited_curly_bracket=True), Quality(preset="technical")).to_pylist() == [None]


def test_fineweb2_has_limits_of_languages() -> None:
    settings = Quality(preset="fineweb2", languages=(), min_language_score=0)
    assert verdicts(made(dup_lines=0.27), settings).to_pylist() == [None]
    assert verdicts(made(dup_lines=0.27, language="fr"), settings).to_pylist() == ["dup_line_frac"]
    assert verdicts(made(mean_word_length=14.0), settings).to_pylist() == ["gopher_above_avg_threshold"]
    assert verdicts(made(mean_word_length=14.0, language="de"), settings).to_pylist() == [None]


# ---------------------------------------------------------------------------------------------------------
# Settings over a preset


def test_language_comes_first_and_rules_in_their_order() -> None:
    assert judged("", language="de") == "language"
    assert judged("", score=0.5) == "language_score"
    assert judged("", language="de", score=0.5, languages=()) == "language_score"
    assert reasons(Quality(preset="datatrove-c4")) == (
        ["language", "language_score", "lorem_ipsum", "curly_bracket", "too_few_sentences", "empty"]
    )
    assert reasons(Quality())[2:4] == ["dup_para_frac", "dup_para_char_frac"]
    assert reasons(Quality())[-1] == "list_ratio"


def test_limits_lie_over_the_preset_and_those_of_a_language_over_them() -> None:
    assert judged(PROSE, limits={"gopher_short_doc": 1000}) == "gopher_short_doc"
    assert judged(PROSE, limits={"gopher_short_doc": 1000}, limits_of={"en": {"gopher_short_doc": 10}}) is None
    assert judged(PROSE, limits_of={"de": {"gopher_short_doc": 1000}}) is None
    french = made(dup_lines=0.27, language="fr")
    every_language: dict[str, Any] = {"preset": "fineweb2", "languages": (), "limits": {"dup_line_frac": 0.28}}
    assert verdicts(french, Quality(**every_language)).to_pylist() == [None]
    assert verdicts(french, Quality(**every_language, limits_of={"fr": {"dup_line_frac": 0.2}})).to_pylist() == [
        "dup_line_frac"
    ]


def test_a_language_may_have_its_own_least_score() -> None:
    assert judged(PROSE, score=0.5, limits_of={"en": {"language_score": 0.4}}) is None
    assert judged(PROSE, score=0.5, limits_of={"de": {"language_score": 0.4}}) == "language_score"


def test_without_asks_no_more() -> None:
    text = PROSE[:200] + " {"
    assert judged(text) == "gopher_short_doc"
    assert judged(text, without=("gopher_short_doc",)) == "curly_bracket"
    assert judged("", preset="datatrove-c4", without=("too_few_sentences",)) == "empty"
    assert judged(PROSE, score=0.1, without=("language_score",)) is None


def test_languages_without_spaces_or_lists_pass_the_rules_that_do_not_fit_them() -> None:
    chinese = "\u4eca\u5929\u7684\u5929\u6c14\u662f\u5f88\u597d\u7684\u3002" * 20
    settings: dict[str, Any] = {"preset": "multilingual", "languages": ()}
    settings["without"] = [reason for reason in reasons(Quality()) if not reason.startswith(("gopher", "language"))]
    assert judged(chinese, language="zh", **settings) is None
    assert judged(chinese, language="en", **settings) == "gopher_below_avg_threshold"
    assert judged(PROSE.upper(), language="xx", **settings) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"preset": "finweb"}, "no rules named 'finweb'; did you mean 'fineweb'?"),
        (
            {"limits": {"gopher_shrt_doc": 3}},
            "quality.limits: no rule 'gopher_shrt_doc'; did you mean 'gopher_short_doc'?",
        ),
        (
            {"limits_of": {"fr": {"list_rat": 3}}},
            "quality.limits_of.fr: no rule 'list_rat'; did you mean 'list_ratio'?",
        ),
        ({"without": ("zzzz",)}, "quality.without: no rule 'zzzz'; there are: char_dup_ratio, "),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest_that_does(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        Quality(**changes)
    assert told in str(error.value)


def test_a_limit_is_set_on_the_command_line() -> None:
    settings = load(changes=["quality.limits.gopher_short_doc=20", "quality.limits_of.fr.list_ratio=0.5"]).quality
    assert {rule.reason: rule.limit for rule in rules.rules(settings)}["gopher_short_doc"] == 20
    assert {rule.reason: rule.languages for rule in rules.rules(settings)}["list_ratio"] == (("fr", 0.5),)


def test_signals_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"no alpha_words, .* 'fineweb'"):
        verdicts(table_of([PROSE]).drop_columns(["alpha_words"]), Quality())


def test_only_the_columns_of_the_rules_are_read() -> None:
    settings = Quality(preset="datatrove-c4-paragraphs", languages=())
    assert columns(settings) == ("language_score", "third_longest_line", "edited_num_words")
    assert verdicts(table_of([PROSE]).select(columns(settings)), settings).to_pylist() == ["too_few_long_lines"]
    assert columns(Quality(languages=("en",)))[0] == "language"


def test_nulls_in_the_language_are_no_language() -> None:
    table = signals([PROSE], ["en"])
    table = table.append_column("language", pa.nulls(1, pa.string())).append_column("language_score", pa.array([1.0]))
    assert verdicts(table, Quality()).to_pylist() == ["language"]
    assert verdicts(table, Quality(languages=())).type == pa.string()
    assert verdicts(table, Quality(preset="fineweb2", languages=())).to_pylist() == [None]


def test_what_a_digest_covers(folder: Path) -> None:
    write(folder, "one", '[[rules]]\nreason = "a"\nsignal = "num_words"\nmin = 5\n')
    write(folder, "other", 'include = ["one"]\n')
    same = described(Quality(preset="one"))
    assert described(Quality(preset="other")) == same  # the same rules by another name
    assert described(Quality(preset="one", limits={"a": 6})) != same
    assert described(Quality(preset="one", without=("a",))) != same
    assert described(Quality(preset="one", languages=())) != same
    json.dumps(same)
    (folder / "one.toml").write_text((folder / "one.toml").read_text().replace("version = 1", "version = 2"))
    preset.cache_clear()
    assert described(Quality(preset="one")) != same


# ---------------------------------------------------------------------------------------------------------
# The format


def test_a_preset_composes_others(folder: Path) -> None:
    write(folder, "one", '[[rules]]\nreason = "a"\nsignal = "num_words"\nmin = 5\n[languages.fr]\na = 3\n')
    write(folder, "two", '[[rules]]\nreason = "b"\nsignal = "num_chars"\nmax = 9\nstrict = true\n')
    write(
        folder,
        "all",
        'include = ["two", "one"]\n[limits]\nb = 8\n[[rules]]\nreason = "c"\nsignal = "num_words"\nmax = 7\n'
        '[[rules]]\nreason = "b"\nsignal = "num_words"\nmax = 6\n',
    )
    found = preset("all")
    assert [(rule.reason, rule.signal, rule.limit) for rule in found.rules] == [
        ("b", "num_words", 6), ("a", "num_words", 5), ("c", "num_words", 7),
    ]  # fmt: skip
    assert found.languages == {"fr": {"a": 3}}
    write(folder, "less", 'include = ["two", "one"]\nwithout = ["a"]\n[limits]\nb = 8\n')
    assert [(rule.reason, rule.limit, rule.strict) for rule in preset("less").rules] == [("b", 8, True)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('incldue = ["x"]', "unknown key 'incldue'; did you mean 'include'?"),
        ('include = ["nix"]', "no rules named 'nix'"),
        ('[[rules]]\nreason = "a"\nsignal = "num_words"', "either min or max"),
        ('[[rules]]\nreason = "a"\nsignal = "num_words"\nmin = 1\nmax = 2', "either min or max"),
        ('[[rules]]\nsignal = "num_words"\nmin = 1', "a rule has a reason"),
        ('[[rules]]\nreason = "a"\nsignal = "x"\nmin = 1\n[[rules]]\nreason = "a"\nsignal = "y"\nmin = 1', "two rules"),
        ('[[rules]]\nreason = "a"\nsignal = "x"\nmni = 1', "unknown key 'mni'; did you mean 'min'?"),
        ("[limits]\na = 1", "no rule 'a'"),
        ("[languages.fr]\na = 1", "languages.fr: no rule 'a'"),
    ],
)
def test_a_file_that_breaks_the_format_is_refused(folder: Path, text: str, told: str) -> None:
    write(folder, "broken", text)
    with pytest.raises(SettingsError) as error:
        preset("broken")
    assert told in str(error.value)


def test_short_encyclopedia_leads_pass_the_demonstration_preset(shared: Path) -> None:
    settings = Quality(preset="demo", languages=("en", "es", "fr"))
    for language in ("en", "es", "fr"):
        with gzip.open(shared / "domains" / f"encyclopedia_{language}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for _, line in zip(range(1500), file, strict=False)]
        assert verdicts(table_of(texts, language), settings).null_count > 0.7 * len(texts), language
