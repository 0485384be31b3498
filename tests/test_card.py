"""Card: front matter that the Hub's own reader takes, numbers from the manifest, and text that stays text."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from made_dataset import documents, make
from markdown_it import MarkdownIt

from mixer.export.card import card
from mixer.export.front_matter import hub_licence
from mixer.export.manifest import own_digest, read, tallied, written
from mixer.export.markdown import plain
from pipelines.errors import InputError

MARKDOWN = MarkdownIt("commonmark").enable("table")

MARKUP = (
    "# a", "- a", "1. a", "a|b", "<script>", "[a](b)", "![a](b)", "`a`", "a\nb", "***", "> a", "&lt;", "---", "+ a",
    "2) a", "=== a", "    a", "~~~", "a\\", "_a_", "$a$",
)  # fmt: skip

SAID: dict[str, Any] = {
    "cluster_names": {0: "stars | galaxies", 1: "<b>cells</b>", 2: "law"},
    "baselines": {
        "natural": [0.5, 0.25, 0.25], "uniform": [1 / 3] * 3, "nearest": [0.7, 0.2, 0.1], "entropy": [0.4, 0.3, 0.3],
    },
    "funnel": [
        {"stage": "documents/one", "read": 5000, "kept": 4000, "dropped": {"empty_text": 990},
         "errors": {"bad_gzip": 10}},
        {"stage": "verdicts/one", "read": 4000, "kept": 600, "dropped": {"gopher_short": 400, "c4_curly": 3000},
         "errors": {}},
    ],
    "settings": {"seed": 1},
    "inputs": {"clusters": "abc123"},
    "models": {
        "encoder": "static from MiniLM", "cluster_scores": "from the signals", "tokenizer": "bpe 2,048",
        "language": "lid.176.ftz",
    },
    "comparison": {
        "target": "narrow", "metric": "nats per token", "tokens": 400_000, "seeds": 3,
        "mixtures": [
            {"name": "climb", "losses": [4.8, 4.9, 4.85], "mean": 4.85, "spread": 0.05},
            {"name": "nearest", "losses": [4.83, 4.83, 4.83], "mean": 4.83, "spread": None},
        ],
        "verdict": "The search does not beat nearest.",
    },
    "notes": ["The last shard has a short row group."],
}  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("card")
    counted = tallied([documents(600), documents(30, name="v")], {"d1.example": "Wikipedia authors"})
    return make(folder, "parquet", **SAID, **counted)


def front(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def cells(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, as a Markdown reader shows them."""
    tokens = MARKDOWN.parse(text.split("---\n", 2)[2])
    start = next(k for k, token in enumerate(tokens) if token.type == "inline" and token.content.startswith(heading))
    rows: list[list[str]] = []
    for token in tokens[start:]:
        if token.type == "table_close":
            return rows
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            assert all(
                child.type in ("text", "text_special", "em_open", "em_close", "entity") for child in token.children
            )
            rows[-1].append("".join(child.content for child in token.children))
    raise AssertionError(f"no table below {heading}")


def test_front_matter_is_what_the_hub_reads(manifest: dict) -> None:
    from huggingface_hub import DatasetCard

    data = DatasetCard(card(manifest)).data.to_dict()
    assert data["license"] == ["cc-by-sa-4.0", "unknown"]
    assert data["language"] == ["en", "fr"]
    assert data["size_categories"] in (["n<1K"], ["1K<n<10K"])
    assert data["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "data/train-*.parquet"},
                {"split": "validation", "path": "data/validation-*.parquet"},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("rows", "size"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**12 - 1, "100B<n<1T"), (10**12, "n>1T")],
)
def test_size_categories(manifest: dict, rows: int, size: str) -> None:
    splits = manifest["splits"]
    changed = manifest | {
        "splits": {"train": splits["train"] | {"rows": rows}, "validation": splits["validation"] | {"rows": 0}}
    }
    assert front(card(changed))["size_categories"] == [size]


def test_nanochat_names_every_file_so_that_validation_stays_validation(tmp_path: Path) -> None:
    made = make(tmp_path, "nanochat", num=9000, shard_size=200_000, budget=60_000)
    files = front(card(made))["configs"][0]["data_files"]
    assert files == [{"split": split, "path": made["splits"][split]["files"]} for split in ("train", "validation")]
    assert len(files[0]["path"]) > 1


def test_the_mixture_table_holds_the_manifests_numbers(manifest: dict) -> None:
    table = cells(card(manifest), "Mixture")
    baselines = ["natural", "uniform", "nearest", "entropy"]
    assert table[0] == ["cluster", "name", "asked for", "here", *baselines, "tokens", "documents", "epochs", "capped"]
    for row, cluster in zip(table[1:], manifest["clusters"], strict=True):
        assert row[0] == str(cluster["id"])
        assert row[1] == SAID["cluster_names"][cluster["id"]]
        assert float(row[2].split()[0]) == pytest.approx(100 * cluster["weight_requested"], abs=0.005)
        assert float(row[3].split()[0]) == pytest.approx(100 * cluster["weight"], abs=0.005)
        assert int(row[8].replace(",", "")) == cluster["tokens"]
        assert int(row[9].replace(",", "")) == cluster["documents"]
        assert float(row[10]) == pytest.approx(cluster["epochs"], abs=0.005)


def test_funnel_evidence_and_licences(manifest: dict) -> None:
    text = card(manifest)
    assert cells(text, "Funnel")[1:] == [
        ["documents/one", "5,000", "4,000", "empty_text 990", "bad_gzip 10"],
        ["verdicts/one", "4,000", "600", "c4_curly 3,000, gopher_short 400", ""],
    ]
    assert cells(text, "Evidence")[1:] == [
        ["climb", "4.8500", "0.0500", "4.8000, 4.9000, 4.8500"],
        ["nearest", "4.8300", "Missing: not measured.", "4.8300, 4.8300, 4.8300"],
    ]
    assert "The search does not beat nearest." in text
    rows = {row[0]: row for row in cells(text, "Licences")[1:]}
    assert rows["d1.example"][1:3] == ["CC-BY-SA-4.0", "300"]
    assert rows["d1.example"][4] == "Wikipedia authors"
    assert rows["d0.example"][1] == "unknown"
    for told in (*SAID["models"].values(), manifest["settings_digest"], "abc123", manifest["digest"]):
        assert told in text
    assert "Missing" not in text.replace("Missing: not measured", "")


def test_licences_are_summed_by_tier(manifest: dict) -> None:
    tiers = manifest["tiers"]
    assert set(tiers) == {"2", "3"}  # share-alike, and none stated
    assert sum(sums["rows"] for sums in tiers.values()) == sum(row["rows"] for row in manifest["licences"])
    text = card(manifest)
    for key, sums in tiers.items():
        assert f"{sums['rows']:,} | {sums['tokens']:,}" in next(
            line for line in text.splitlines() if line.startswith(f"| {key}: ")
        )


def test_what_was_taken_out_is_said(manifest: dict) -> None:
    assert "No test was looked for." in card(manifest)
    tests = {"sets": [{"name": "piqa"}, {"name": "boolq"}], "action": "drop", "ngram": 13}
    settings = {**(manifest["settings"] or {}), "decontamination": tests}
    wishes = {"entries": 3, "digest": "0ff1ce", "documents": 1200}
    text = card({**manifest, "settings": settings, "takedown": wishes})
    assert "word 13-grams, and not there: piqa, boolq." in text
    assert "1,200 documents, after a list of 3 entries with digest `0ff1ce`" in text
    reported = card({**manifest, "settings": {"decontamination": {**tests, "action": "report"}}})
    assert "what was found was left in: piqa, boolq." in reported


def test_missing_pieces_are_called_missing(tmp_path: Path) -> None:
    text = card(make(tmp_path, "parquet"))
    for piece in (
        "the weights of natural, uniform, nearest",
        "a final comparison",
        "what each stage read",
        "licences and sources",
        "name",
    ):
        assert f"*Missing: {piece}" in text
    for key in ("encoder", "cluster scores", "tokenizer", "settings", "inputs"):
        assert f"- {key}: *Missing: not stated.*" in text
    assert front(text)["license"] == "unknown"


def test_caps_and_a_short_budget_are_said(tmp_path: Path) -> None:
    made = make(tmp_path, "parquet", weights=(0.9, 0.05, 0.05), budget=30_000, max_epochs=2)
    assert "Clusters 0 would have been" in card(made)
    assert "Smaller than asked for" not in card(made)
    made = make(tmp_path / "short", "parquet", budget=10**6)
    assert "**Smaller than asked for:** 1,000,000 tokens were asked for; with at most 2 epochs" in card(made)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_text_from_pages_stays_text(text: str) -> None:
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for frame in ("{}", "| {} |\n| --- |\n| {} |", "- {}"):
        rendered = MARKDOWN.render(frame.replace("{}", plain(text) or "x"))
        bare = re.sub(r"</?(p|table|thead|tbody|tr|th|td|ul|li)>", "", rendered)
        assert "<" not in bare, rendered
        if frame == "{}" and shown:
            assert html.unescape(bare).strip() == shown


@pytest.mark.parametrize("text", MARKUP)
def test_markup_is_taken_literally(text: str) -> None:
    test_text_from_pages_stays_text.hypothesis.inner_test(text)


def test_links_are_not_made_of_addresses() -> None:
    assert plain("see http://a.example and www.b.example, c@d.example") == (
        r"see http\://a.example and www\.b.example, c\@d.example"
    )


@pytest.mark.parametrize(
    ("licence", "identifier"),
    [
        ("CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("Apache-2.0", "apache-2.0"),
        ("MIT", "mit"),
        ("GPL-3.0", "gpl-3.0"),
        ("GFDL", "gfdl"),
        ("", "unknown"),
        ("see the page", "other"),
        ("CC BY-SA 9.9", "other"),
    ],
)
def test_hub_licences(licence: str, identifier: str) -> None:
    assert hub_licence(licence) == identifier


def test_names_that_are_yaml_stay_strings(manifest: dict) -> None:
    for name in ("yes", "1.0", "a: b", 'quote"s', "null", "ünïcode \U0001f600"):
        assert front(card(manifest | {"name": name}))["pretty_name"] == f"{name} v1"


# ---------------------------------------------------------------------------------------------------------
# The manifest


def test_manifest_survives_its_bytes_and_the_digest_covers_all_of_it(manifest: dict) -> None:
    back = read(written(manifest))
    assert back == manifest
    assert back["digest"] == own_digest(back)
    for key in back.keys() - {"digest"}:
        assert own_digest(back | {key: "changed"}) != back["digest"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"manifest": 2}', b"\xff"])
def test_no_manifest_is_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError, match=r"manifest\.json is no"):
        read(data)


def test_tallies_are_sums_and_the_long_tail_is_summed_by_licence(monkeypatch) -> None:
    table = documents(100)
    assert tallied([table]) == tallied([table.slice(0, 33), table.slice(33)])
    monkeypatch.setattr("mixer.export.manifest.MAX_SOURCES", 1)
    short = tallied([table, documents(50, name="w")])["licences"]
    assert sum(row["rows"] for row in short) == 150
    assert sum(row["tokens"] for row in short) == sum(table["token_count"].to_pylist()) + sum(
        documents(50, name="w")["token_count"].to_pylist()
    )
    # Odd documents are of d1 and w1, under a licence; one of the four sources is listed.
    assert sorted(row["source"] for row in short[1:]) == ["(1 more sources)", "(2 more sources)"]
    named = tallied([table], {"d0.example": "by us", "d1.example": "by them"})["licences"]
    assert {row["attribution"] for row in named} == {"by us", "by them"}
