"""Names tell clusters apart, whatever the order of documents and the languages in them."""

import gzip
import json
import random
from pathlib import Path

import numpy as np

from pipelines.vectors.names import name_clusters

PLANETS = ["The planets of the star turn, and telescopes see the planets.", "Telescopes show planets and moons."] * 10
COOKING = ["Bake the bread and salt the soup.", "Bread needs flour; soup needs salt, and the oven heat."] * 10
CHEMISTRY = ["Salt dissolves, and acid reacts with the metal.", "Acid and metal give salt and heat."] * 10


def test_names_are_the_words_of_one_cluster() -> None:
    texts = PLANETS + COOKING + CHEMISTRY
    clusters = np.repeat([0, 1, 2], 20)
    names = name_clusters(texts, clusters, num_terms=4)
    assert set(names[0][1][:2]) == {"planets", "telescopes"}
    assert set(names[1][1][:2]) == {"bread", "soup"}
    assert set(names[2][1][:2]) == {"acid", "metal"}
    assert names[1][0] == "-".join(names[1][1][:3])
    assert all("the" not in terms and "and" not in terms for _, terms in names.values())


def test_the_order_of_documents_does_not_matter() -> None:
    rows = list(zip(PLANETS + COOKING + CHEMISTRY, np.repeat([0, 1, 2], 20).tolist(), strict=True))
    first = name_clusters([text for text, _ in rows], np.array([one for _, one in rows]))
    random.Random(3).shuffle(rows)
    assert name_clusters([text for text, _ in rows], np.array([one for _, one in rows])) == first


def test_a_word_is_counted_once_in_a_document() -> None:
    texts = ["galaxy " * 500 + "orbit", *["orbit comet"] * 19]
    (name, terms) = name_clusters(texts, np.zeros(20, np.int32))[0]
    assert terms == ["orbit", "comet"]
    assert name == "orbit-comet"


def test_pruned_rows_do_not_count_and_names_are_unique() -> None:
    names = name_clusters([*PLANETS, *PLANETS, *COOKING, "42", ""], np.array([0] * 20 + [1] * 20 + [-1] * 20 + [2, 2]))
    assert sorted(names) == [0, 1, 2]
    assert names[2] == ("cluster-2", [])
    assert len({name for name, _ in names.values()}) == 3
    assert not any("bread" in terms for _, terms in names.values())
    assert name_clusters([], np.zeros(0, np.int32)) == {}


def test_real_clusters_of_three_languages_are_named_by_their_subject(shared: Path) -> None:
    """Topic and language known: no name is made of words that a sister cluster of the language has as often."""
    texts, labels = [], []
    for language in ("en", "fr", "es"):
        with gzip.open(shared / "domains" / f"encyclopedia_{language}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        for topic in sorted({row["topic"] for row in rows if row["topic"]})[::3][:3]:
            mine = [row["text"] for row in rows if row["topic"] == topic][:150]
            texts += mine
            labels += [f"{language} {topic}"] * len(mine)
    kinds = sorted(set(labels))
    assert len(kinds) == 9
    names = name_clusters(texts, np.array([kinds.index(label) for label in labels]), num_terms=6)
    for number, kind in enumerate(kinds):
        mine = [text for text, label in zip(texts, labels, strict=True) if label == kind]
        sisters = [t for t, la in zip(texts, labels, strict=True) if la.split()[0] == kind.split()[0] and la != kind]
        for term in names[number][1][:3]:
            here = np.mean([term in text.lower() for text in mine])
            there = np.mean([term in text.lower() for text in sisters])
            assert here > 1.5 * there, f"{kind}: {term!r} {here:.2f} against {there:.2f}"
