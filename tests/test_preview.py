"""What other settings would keep: against two runs of the verdicts, by any cut into parts."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.quality.preview import KEPT, Preview, columns, preview
from pipelines.quality.rules import verdicts
from pipelines.quality.signals import SIGNALS
from pipelines.settings import Quality

OLD = Quality(languages=("en", "fr"))


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Signals as drawn: any mix of values around the limits."""
    rng = np.random.default_rng(3)
    found: dict[str, Any] = {}
    for field in SIGNALS:
        if pa.types.is_integer(field.type):
            found[field.name] = rng.integers(0, 120, 3000)
        elif pa.types.is_boolean(field.type):
            found[field.name] = rng.random(3000) < 0.02
        else:
            found[field.name] = rng.random(3000) * 0.05
    found["mean_word_length"] = 2.9 + 5 * rng.random(3000)
    found["alpha_words"] = 0.75 + 0.25 * rng.random(3000)
    found["edited_line_punctuation"] = 0.1 + rng.random(3000)
    found["edited_dup_chars"] = 0.012 * rng.random(3000)
    found["language"] = rng.choice(["en", "fr", "de"], 3000, p=[0.6, 0.3, 0.1])
    found["language_score"] = 0.6 + 0.4 * rng.random(3000)
    return pa.table(found)


def asked(table: pa.Table, new: Quality, size: int = 3000, samples: int = 5) -> Preview:
    parts = [(f"part-{first:05d}", table.slice(first, size)) for first in range(0, table.num_rows, size)]
    return preview(parts, OLD, new, samples)


def changed(**values: Any) -> Quality:
    return Quality.model_validate({**OLD.model_dump(), **values})


def test_counts_are_those_of_the_verdicts(table: pa.Table) -> None:
    new = changed(limits={"gopher_short_doc": 30, "char_dup_ratio": 0.005}, without=("curly_bracket",))
    found = asked(table, new)
    before, after = verdicts(table, OLD), verdicts(table, new)
    assert found.rows == 3000
    assert found.before[KEPT] == before.null_count
    assert found.after[KEPT] == after.null_count
    assert sum(found.before.values()) == sum(found.after.values()) == 3000
    assert sum(count for *_, count in found.moved()) == sum(
        one != other for one, other in zip(before.to_pylist(), after.to_pylist(), strict=True)
    )
    assert found.before["gopher_short_doc"] == before.to_pylist().count("gopher_short_doc")
    assert found.table()[0] == (KEPT, before.null_count, after.null_count)
    assert ("curly_bracket", before.to_pylist().count("curly_bracket"), 0) in found.table()


def test_samples_hang_on_the_changed_rule_alone_and_are_the_nearest(table: pa.Table) -> None:
    new = changed(limits={"gopher_short_doc": 30})
    (change,) = asked(table, new).changes
    assert (change.before.limit, change.after.limit) == (50, 30) if change.before and change.after else False
    without = verdicts(table, changed(without=("gopher_short_doc",))).to_pylist()
    words = table["num_words"].to_pylist()
    fates = [row for row in range(3000) if without[row] is None]
    for samples, mine in (
        (change.kept, [r for r in fates if words[r] >= 30]),
        (change.dropped, [r for r in fates if words[r] < 30]),
    ):
        nearest = sorted(mine, key=lambda row: (abs(words[row] - 30), row))[:5]
        assert [(sample.row, sample.value) for sample in samples] == [(row, words[row]) for row in nearest]
        assert len(samples) == 5


def test_limits_of_a_language_are_measured_by_that_language(table: pa.Table) -> None:
    (change,) = asked(table, changed(limits_of={"fr": {"gopher_short_doc": 20}})).changes
    languages = table["language"].to_pylist()
    for sample in change.kept:
        assert sample.distance == sample.value - (20 if languages[sample.row] == "fr" else 50)


def test_a_rule_that_goes_or_comes_is_a_change(table: pa.Table) -> None:
    (gone,) = asked(table, changed(without=("gopher_short_doc",))).changes
    assert gone.after is None
    assert gone.rule.limit == 50
    assert all(sample.value < 50 for sample in gone.dropped)
    found = asked(table, changed(preset="datatrove-gopher-quality"))
    assert {change.rule.reason for change in found.changes} >= {"dup_para_frac", "curly_bracket"}
    assert all(change.after is None or change.before is None for change in found.changes)


def test_how_rows_are_cut_into_parts_changes_nothing_but_their_names(table: pa.Table) -> None:
    new = changed(limits={"gopher_short_doc": 30, "list_ratio": 0.02}, min_language_score=0.7)
    whole = asked(table, new)
    for size in (41, 700, 1500):
        found = asked(table, new, size=size)
        assert (found.rows, found.verdicts, found.reasons) == (whole.rows, whole.verdicts, whole.reasons)
        for one, other in zip(found.changes, whole.changes, strict=True):
            places = [(int(sample.part[5:]) + sample.row, sample.value) for sample in one.kept + one.dropped]
            assert places == [(sample.row, sample.value) for sample in other.kept + other.dropped]


def test_parts_in_any_order_give_the_same(table: pa.Table) -> None:
    new = changed(limits={"gopher_short_doc": 30})
    parts = [(f"part-{first:05d}", table.slice(first, 600)) for first in range(0, 3000, 600)]
    assert preview(parts, OLD, new) == preview(parts[::-1], OLD, new)


def test_the_same_settings_change_nothing(table: pa.Table) -> None:
    found = asked(table, OLD)
    assert found.moved() == []
    assert found.changes == ()
    assert preview([], OLD, OLD).rows == 0


def test_only_the_columns_of_both_are_needed(table: pa.Table) -> None:
    new = changed(preset="datatrove-c4-paragraphs", languages=())
    assert "third_longest_line" in columns(OLD, new)
    assert asked(table.select(columns(OLD, new)), new).table() == asked(table, new).table()
