"""What a materialisation shows: numbers Dagster takes, tables, and samples that no page can break out of."""

import base64
import struct
from collections.abc import Callable

import numpy as np
import pytest

from assets import metadata, plots, search_plots
from mixer.report import series
from mixer.report.gathered import gathered
from pipelines.corpus import Corpus, Report
from pipelines.settings import Settings
from pipelines.store import Workspace


def test_the_funnel_says_where_every_row_went() -> None:
    counts = {"read": 10, "kept": 5, "dropped": {"short": 1, "language": 3}, "errors": {"bad_gzip": 1}}
    rows = [record.data for record in metadata.funnel(counts).records]
    assert rows == [
        {"reason": "read", "count": 10, "share": 1.0},
        {"reason": "language", "count": 3, "share": 0.3},
        {"reason": "error: bad_gzip", "count": 1, "share": 0.1},
        {"reason": "short", "count": 1, "share": 0.1},
        {"reason": "kept", "count": 5, "share": 0.5},
    ]
    assert metadata.funnel({"vocabulary": 600}) is None


def test_a_sample_is_cut_and_escaped() -> None:
    """A page may hold pipes, tags, links, newlines: none may leave its cell."""
    text = "a | b <script>alert(1)</script> [x](http://evil.example) ![i](u)\n# *head*\\ `code`" + "y" * 200
    value = metadata.sample([{"id": b"\x00\xff", "text": text}] * 5).value
    lines = value.split("\n")
    assert len(lines) == 2 + metadata.SAMPLE_ROWS
    assert lines[2].startswith("| 00ff | a \\| b &lt;script&gt;")
    assert "<" not in lines[2]
    assert "](" not in lines[2].replace("\\](", "")
    assert "\\!\\[i\\]" in lines[2]
    assert lines[2].endswith("... |")


def test_the_cut_is_at_eighty_characters() -> None:
    assert metadata.sample([{"text": "w" * 80}]).value.endswith(f"| {'w' * 80} |")
    assert metadata.sample([{"text": "w" * 81}]).value.endswith(f"| {'w' * 77}... |")


def test_values_are_what_dagster_takes() -> None:
    given = {
        "a": np.int64(3),
        "b": np.float32(0.5),
        "c": float("nan"),
        "d": float("inf"),
        "e": None,
        "f": True,
        "g": "x",
    }
    assert metadata.values(given) == {"a": 3, "b": 0.5, "c": "nan", "d": "inf", "f": True, "g": "x"}


def test_a_table_holds_plain_cells() -> None:
    made = metadata.table(
        [{"name": "a", "loss": 1.23456789, "weights": [0.25, 0.75], "terms": ["x", "y"], "none": None}]
    )
    assert made.records[0].data == {
        "name": "a", "loss": 1.234568, "weights": "0.250 0.750", "terms": "x, y", "none": ""
    }  # fmt: skip
    assert [(column.name, column.type) for column in made.schema.columns][:2] == [("name", "string"), ("loss", "float")]


@pytest.mark.parametrize("reasons", [1, 40])
def test_a_picture_is_a_small_png(reasons: int) -> None:
    dropped = {f"a_rather_long_reason_{number}": 100 - number for number in range(reasons)}
    report = Report("verdicts", "c", "", 100, {"kept": 10, "dropped": dropped}, 1.0, 1, 0, 0, "")
    found = plots.of(Corpus(Workspace("/nowhere"), Settings()), report)
    assert list(found) == ["plot"]
    png = base64.b64decode(found["plot"].partition("base64,")[2].rstrip(")"))
    assert png[:4] == b"\x89PNG"
    assert struct.unpack(">II", png[16:24]) == (480, 240)
    assert len(png) < 30_000


def test_a_stage_with_nothing_to_see_has_no_picture() -> None:
    report = Report("signatures", "c", "", 100, {"read": 100}, 1.0, 1, 0, 0, "")
    assert plots.of(Corpus(Workspace("/nowhere"), Settings()), report) == {}


class Axes:
    """Stands for Matplotlib's: what was drawn, by the method's name."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given, **named: self.calls.append((name, given, named))

    def lines(self, *names: str) -> dict[str, list[tuple[float, float]]]:
        """Label -> points."""
        drawn = [(given, named) for name, given, named in self.calls if name in names]
        return {str(named["label"]): list(zip(*given[:2], strict=True)) for given, named in drawn}


def test_pictures_of_a_search_show_what_its_report_shows(unbroken: Corpus) -> None:
    told = gathered(unbroken)
    last = len(told["rounds"])
    drawn = {}
    for kind, name in (
        ("predictor", "rank_correlation"),
        ("predictor", "weights_over_rounds"),
        ("mixture", "best_so_far"),
    ):
        drawn[name] = Axes()
        stage = f"{kind} {last}" if kind == "predictor" else kind
        report = Report(stage, "", "", 0, {}, 1.0, 1, 0, 0, "")
        assert search_plots.DRAWN[kind][name](drawn[name], unbroken, report)
    tested, proposed = series.rank_correlations(told["rounds"])
    shown = drawn["rank_correlation"].lines("plot")
    assert shown == {
        label: points for label, points in (("cross-validated", tested), ("of proposals", proposed)) if points
    }
    assert shown
    for label, points in drawn["weights_over_rounds"].lines("plot").items():
        cluster = int(label.removeprefix("cluster "))
        assert points == [(fit["round"], fit["recommended"][cluster]) for fit in told["rounds"]]
    assert len(drawn["weights_over_rounds"].lines("plot")) == min(search_plots.MAX_LINES, len(told["clusters"]))
    assert drawn["best_so_far"].lines("step") == {
        "auto": series.best_so_far(series.of_search(told["trials"], last)),
        "random": series.best_so_far(series.of_random(told["trials"], last)),
    }
    levels = [given[0] for name, given, _ in drawn["best_so_far"].calls if name == "axhline"]
    assert levels == list(series.rules(told["trials"]).values())


def test_after_a_round_the_search_is_shown_as_far_as_it_is(unbroken: Corpus) -> None:
    axes = Axes()
    search_plots.DRAWN["round"]["best_so_far"](axes, unbroken, Report("round 1", "", "", 0, {}, 1.0, 1, 0, 0, ""))
    [points] = axes.lines("step").values()
    assert points == series.best_so_far(series.of_search(gathered(unbroken)["trials"], 1))
    assert len(points) == unbroken.settings.search.rounds[0]
