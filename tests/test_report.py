"""The report page: it says what was shown, draws what was measured, and nothing that a page wrote can act in it."""

import itertools
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import rankdata

from mixer.console import losses_table
from mixer.report import evidence, series, svg
from mixer.report.gathered import gathered
from mixer.report.headline import of_verdicts
from mixer.report.markup import flops, link, number, seconds, text
from mixer.report.page import html

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</style><svg onload=alert(1)>",
    "a & b <b> \x00\x1b[31m",
)
ADDRESSES = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//evil.example/x",
    "http://[::1",
    "http://a.example/\x00x",
    "https:///nowhere",
)
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Seen(HTMLParser):
    """Tags in the order met, with attributes; raises where one closes that was not open."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def seen(page: str) -> Seen:
    found = Seen()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


def test_a_comparison_of_which_every_run_failed_is_told(told):
    judged = json.loads(json.dumps(told["comparison"]))
    for one in judged["mixtures"].values():
        one.update(losses=[None] * len(one["losses"]), mean=None, spread=None, num_runs=0)
    shown = evidence.comparison({**told, "comparison": judged})
    assert "Final comparison" in shown
    assert "<svg" not in shown
    table = losses_table({"a": (math.nan, math.nan), "b": (2.0, math.nan), "c": (1.0, 0.1)})
    assert [list(column.cells) for column in table.columns] == [
        ["c", "b", "a"],
        ["1.0000", "2.0000", "-"],
        ["0.1000", "-", "-"],
    ]


@pytest.fixture(scope="module")
def told(built):
    return gathered(built)


def test_the_page_of_a_finished_search_holds_every_section_and_loads_nothing(told) -> None:
    page = html(told)
    found = seen(page)
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "Final comparison", "The mixture", "What the predictor is worth", "How the search went", "Weights over rounds",
        "What it cost", "Leaderboard", "The clusters", "How to make it again",
    ]  # fmt: skip
    kinds = {tag for tag, _ in found.tags}
    assert kinds.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base"})
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "action")]
        assert "href" not in attributes or tag == "a"
    assert "url(" not in page
    assert "@import" not in page


def test_the_pages_numbers_are_those_of_the_search(told, built) -> None:
    page = html(told)
    assert {len(row) for row in told["mixtures"].values()} == {len(told["clusters"])}
    for row in told["mixtures"].values():
        assert math.fsum(row) == pytest.approx(1)
    trained = sum(part["num_runs"] for part in told["cost"].values())
    assert trained == len({trial["key"] for trial in told["trials"]})
    for name, one in told["comparison"]["mixtures"].items():
        assert f"{one['mean']:.4f}" in page, name
    best = min(trial["loss"] for trial in told["trials"])
    assert f"{best:.4f}" in page
    for example in (example for cluster in told["clusters"] for example in cluster["examples"]):
        assert example["url"].startswith("http")
        assert f'href="{text(example["url"])}"' in page


def test_examples_are_documents_of_their_cluster(told, built) -> None:
    from pipelines.clusters import read_buckets
    from pipelines.fitting import kept_parts

    merged = read_buckets(built).merged
    of_url = {}
    for rows in kept_parts(built, built.fit_crawls, {"documents": ("url",), "fine_clusters": ("cluster",)}):
        fine = np.asarray(rows["cluster"])
        of_url |= dict(zip(rows["url"].to_pylist(), np.where(fine >= 0, merged[fine], -1).tolist(), strict=True))
    for numbered, cluster in enumerate(told["clusters"]):
        assert {of_url[example["url"]] for example in cluster["examples"]} == {numbered}


def test_nothing_that_the_corpus_wrote_can_act_in_the_page(told) -> None:
    hostile = json.loads(json.dumps(told))
    words, addresses = itertools.cycle(HOSTILE), itertools.cycle(ADDRESSES)
    for cluster in hostile["clusters"]:
        cluster["name"] = next(words)
        cluster["terms"] = list(HOSTILE)
        cluster["examples"] = [{"url": address, "text": next(words)} for address in ADDRESSES]
    for trial in hostile["trials"]:
        trial["name"] = next(words)
    hostile["strategy"] = hostile["target"] = hostile["name"] = HOSTILE[1]
    hostile["made"]["folder"] = next(addresses)
    page = html(hostile)
    found = seen(page)
    expected = seen(html(told))
    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in expected.tags}
    assert not [attributes for tag, attributes in found.tags if "href" in attributes]
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert sum(tag == "svg" for tag, _ in found.tags) == sum(tag == "svg" for tag, _ in expected.tags)
    assert HOSTILE[0] in "".join(found.texts)  # said as text
    assert not set(page) & {chr(code) for code in (*range(9), *range(11, 32))}


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_plain_web_addresses_are_links(address: str) -> None:
    assert "<a" not in link(address)
    assert link("https://a.example/x?q='\"<b>").startswith('<a href="https://a.example/x?q=&#x27;&quot;&lt;b&gt;"')


def test_an_unfinished_search_says_what_is_missing(built, tmp_path: Path) -> None:
    from made_searches import copied

    from mixer import lineage as mixing

    corpus = copied(built, tmp_path, keep=("search",))
    folder = corpus.workspace.local(*mixing.search(corpus).steps)
    for name in ("report.json", "recommendation.json", "fits/round-2.json", "candidates/random.parquet"):
        (folder / name).unlink()
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:5]) + lines[5][:20])
    told = gathered(corpus)
    assert [command for _, command in told["missing"]] == ["sirdar mix search", "sirdar mix comparison"]
    page = html(told)
    seen(page)
    assert "The search is not finished: 5 proxies are trained" in page
    assert "what it would recommend now" in page
    journal.unlink()
    (folder / "fits" / "round-1.json").unlink()
    bare = html(gathered(corpus))
    assert "0 proxies are trained" in bare
    assert re.findall(r"<h2>(.*?)</h2>", bare) == ["The mixture", "The clusters", "How to make it again"]


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ({"natural": "beats", "nearest": "beats"}, "The mixture found beats nearest by 0.12 nats, and natural."),
        (
            {"natural": "beats", "nearest": "no difference shown"},
            "The mixture found does not beat nearest, which needs no training: no difference is shown."
            " It beats natural.",
        ),
        (
            {"natural": "beats", "nearest": "worse"},
            "The mixture found does not beat nearest, which needs no training: it is worse by 0.12 nats."
            " It beats natural.",
        ),
        (
            {"random": "no difference shown", "uniform": "worse", "nearest": "worse"},
            "The mixture found does not beat nearest, which needs no training, uniform and random:"
            " it is worse than nearest by 0.12 nats and uniform by 0.12 nats, and no difference from random is shown.",
        ),
    ],
)
def test_the_headline_says_the_bad_news_first(outcomes: dict[str, str], said: str) -> None:
    verdicts = [
        {"other": name, "outcome": outcome, "difference": 0.12 if outcome == "beats" else -0.12}
        for name, outcome in outcomes.items()
    ]
    assert of_verdicts(verdicts) == said


def test_trials_of_frozen_groups_are_told_by_their_round(told) -> None:
    last = len(told["made"]["settings"]["rounds"])
    trials = [{**trial, "name": "auto-reuse"} for trial in told["trials"] if 1 <= trial["round"] <= last]
    listed = evidence.leaderboard({**told, "trials": trials})
    assert "round 1" in listed
    assert "-reuse" not in listed


def test_series_are_those_of_the_trials() -> None:
    losses = [None, 5.0, 5.2, 4.8, 4.9]
    trials = [
        {"name": "climb", "round": 1 + (number > 2), "index": number, "loss": loss, "predicted": None}
        | ({"drawn": True} if number < 3 else {})
        for number, loss in enumerate(losses)
    ]
    further = {"name": "random", "round": 3, "index": 0, "loss": 4.0, "predicted": None}
    rule = {"name": "uniform", "round": 0, "index": 0, "loss": 3.0, "predicted": None}
    everything = [further, *trials[::-1], rule]
    assert series.best_so_far(series.of_search(everything, 2)) == [(2, 5.0), (3, 5.0), (4, 4.8), (5, 4.8)]
    assert series.best_so_far(series.of_random(everything, 2)) == [(2, 5.0), (3, 5.0), (4, 4.0)]
    assert series.of_random([*trials, rule], 2) == []
    known = {"name": "auto", "round": 1, "index": 9, "loss": 3.0, "predicted": None}  # a rule's mixture, in round 1
    assert series.best_so_far(series.of_random([*everything, known], 2)) == [(2, 5.0), (3, 5.0), (4, 4.0)]
    assert series.rules(everything) == {"uniform": 3.0}


@pytest.mark.parametrize("seed", range(20))
def test_points_lie_where_their_values_are_and_inside_the_frame(seed: int) -> None:
    """Order along both axes is that of the values; the picture is well-formed XML."""
    random = np.random.default_rng(seed)
    points = (10.0 ** random.integers(-6, 6) * random.normal(size=(12, 2)) + random.normal()).tolist()
    drawn = svg.scatter({"<a>": [tuple(point) for point in points]}, across="x & y", up="y")
    circles = ElementTree.fromstring(drawn).findall("circle")
    places = np.array([[float(one.get("cx", "nan")), float(one.get("cy", "nan"))] for one in circles])
    for axis, direction in ((0, 1), (1, -1)):
        ranks = rankdata(np.array(points)[:, axis] * direction)
        moved = np.diff(places[np.argsort(ranks), axis])
        assert (moved >= -0.1).all()
    assert (places > 0).all()
    assert (places < [svg.WIDTH, svg.HEIGHT]).all()


@pytest.mark.parametrize("seed", range(20))
def test_labels_of_lines_never_meet(seed: int) -> None:
    random = np.random.default_rng(seed)
    ends = np.round(random.normal(size=10), 1)  # several alike
    drawn = svg.lines(
        [svg.Line(f"line {n}", [(0.0, 0.0), (1.0, float(y))], "other") for n, y in enumerate(ends)], across="x", up="y"
    )
    labels = [one for one in ElementTree.fromstring(drawn).findall("text") if "end" in (one.get("class") or "").split()]
    heights = sorted(float(one.get("y", "nan")) for one in labels)
    assert len(heights) == 10
    assert min(np.diff(heights)) >= svg.LABEL_GAP - 0.11
    assert heights[-1] <= svg.HEIGHT


@pytest.mark.parametrize(("low", "high"), [(0, 1), (4.93, 5.21), (-3e-5, 2e-5), (0.9, 1234.5), (1e9, 1.0000001e9)])
def test_ticks_are_round_and_few(low: float, high: float) -> None:
    found = svg.ticks(low, high)
    assert 2 <= len(found) <= 5
    assert all(low - 1e-9 * abs(low) <= tick <= high * (1 + 1e-9) for tick in found)
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])
    assert round(steps[0] / 10 ** math.floor(math.log10(steps[0] * 1.0000001)), 6) in (1, 2, 5)


def test_lines_of_one_value_or_one_point_are_drawn() -> None:
    for points in ([(1.0, 5.0)], [(1.0, 5.0), (2.0, 5.0)]):
        drawn = svg.lines([svg.Line("a", points, "found")], across="trial", up="loss", whole=True)
        assert "nan" not in drawn
        assert ElementTree.fromstring(drawn).findall("polyline")


def test_numbers_are_written_for_people() -> None:
    assert [number(value) for value in (0, 1234, 99999, 123456, 4.08e6, 2e13)] == [
        "0", "1,234", "99,999", "123\u202fk", "4.08\u202fM", "20\u202fT"
    ]  # fmt: skip
    assert [seconds(value) for value in (0.4, 89, 215, 3599, 19_230)] == [
        "0 s", "89 s", "3 min 35 s", "59 min 59 s", "5 h 20 min"
    ]  # fmt: skip
    assert flops(9.53e12) == "9.5e12 FLOPs"
