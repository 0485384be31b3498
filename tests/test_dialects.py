"""Signals of other pipelines' filters: against plain Python, at the limits of their presets, on hostile text."""

import os
import random
import re
import statistics
import subprocess
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.edits import dclm_lines
from pipelines.edits.spans import edited
from pipelines.quality import curator_signals, dialects, rules
from pipelines.text import uax29

STOPS = {"the", "be", "to", "of", "and", "that", "have", "with"}

# Pieces of which random texts are made: what the rules look for, and characters of one to four bytes.
PIECES = [
    "the",
    "of",
    "and",
    "THE",
    "Be",
    "river",
    "stone",
    "farmé",
    "λόγος",
    "語",
    "カタ",
    "กข",
    "𝟘",
    "٣",
    "12",
    "3",
    "7,5",
    "#",
    "##",
    "#a",
    "#",
    "...",
    "…",
    "[...]",
    "(...)",
    "-»",
    "{x}",
    "⟨y⟩",
    "(",
    ")",
    "http://a.b/c%20d",
    "https://x,y?z",
    "http://",
    "ftp://q",
    "READ",
    "COUNT",
    "IİI",
    "don't",
    "a_b",
    "x.y",
    "Ⅻ",
    "ⓐ",
    "❤️",
    "--",
    "*",
    "-",
    "•",
    "●",
    "⁃",
    "Read-more",
    "\x08",
    "a\x00b",
]
ENDS = (
    "\n",
    "\n",
    "\n\n",
    "\n\n\n",
    " \n",
    "\r\n",
    ".\n",
    "!\n",
    "...\n",
    "\u2026\n",
    "'\n",
    " Read More\n",
    "\u00a0",
    "\u3000",
    "\x1c",
)
LINES = (
    "* a point", "- another", "\u2022 a third one", "the same line again.", "the same line again.", "3 likes",
    "(12,5K  views)", "Sign-in here for the rest", "nine items in cart now", "go on: read more...", "ALL IN CAPITALS",
    "12345", "single", "terms of use", "Lorem ipsum dolor", "We use cookies", "javascript off", "", "", "   ",
)  # fmt: skip


def made(seed: int) -> str:
    chance = random.Random(seed)
    pieces = chance.choices(PIECES, k=chance.choice((3, 12)))  # few, so that n-grams come again
    text = chance.choice(("", " ", "\n", "\n\n\n"))
    for _ in range(chance.randint(0, 60)):
        text += chance.choice(LINES) + "\n" if chance.random() < 0.2 else chance.choice(pieces)
        text += chance.choice(ENDS) if chance.random() < 0.15 else chance.choice((" ", " ", " ", "  ", "\t"))
    return text


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return ["", " \n", "a", "\n", "one two", *map(made, range(600))]


def table(texts: list[str], name: str) -> dict[str, list[float]]:
    return dialects.signals(pa.array(texts, pa.large_string()), [name]).to_pydict()


def share(some: float, all_: float, none: float = 0.0) -> float:
    return some / all_ if all_ else none


def ngrams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]


def assert_same(found: dict[str, list[float]], texts: list[str], reference) -> None:
    for row, text in enumerate(texts):
        for name, value in reference(text).items():
            assert found[name][row] == pytest.approx(value, abs=1e-12), (name, text)


# ---------------------------------------------------------------------------------------------------------
# NeMo Curator


def curator(text: str) -> dict[str, float]:
    words, size = text.split(), len(text)
    lines = [line for line in text.split("\n") if line.strip()]
    paragraphs = text.split("\n\n")
    ends = [line.strip() for line in lines]
    web = re.findall(r"https?://(?:[A-Za-z0-9$\-_@.&+/:=?#~!*(),]|%[0-9A-Fa-f]{2})+", text)
    symbols = sum(
        word in curator_signals.LINE_ELLIPSES or len(re.findall("#+", word)) / len(word) > 0.5 for word in words
    )
    policies = [any(phrase in one.lower() for phrase in curator_signals.POLICIES) for one in paragraphs]
    found = {
        "words": len(words),
        "common_words": sum(word in STOPS for word in words),
        "longest_word": max(map(len, words), default=0),
        "non_alpha_numeric": share(len(re.sub(r"[a-zA-Z0-9\n?!,.]", "", text)), size, 1),
        "symbol_words": share(symbols, len(words), 1),
        "numbers": share(len(re.findall("[0-9]", text)), size, 1),
        "urls": share(sum(map(len, web)), size, 1),
        "white_space": share(sum(map(text.count, "\t\n\r\b ")), size, 1),
        "parentheses": share(sum(map(text.count, "{}[]()\u27e8\u27e9")), size, 1),
        "boilerplate": 1.0 if "lorem ipsum" in text.lower() else share(sum(policies), len(policies)),
        "distinct_lines": share(len(set(lines)), len(lines)),
        "distinct_paragraphs": len(set(paragraphs)) / len(paragraphs),
        "distinct_line_chars": share(sum(map(len, set(lines))), sum(map(len, lines))),
        "distinct_paragraph_chars": share(sum(map(len, set(paragraphs))), sum(map(len, paragraphs))),
        "lines_without_end": share(sum(not line.endswith((".", "?", "!", '"', "'")) for line in ends), len(ends), 1),
        "alphabetic_words": share(
            sum(any(c.isalpha() or c in "\u216b\u24d0" for c in word) for word in words), len(words)
        ),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "ellipsis_lines": share(sum(line.lower().endswith(curator_signals.LINE_ELLIPSES) for line in ends), len(ends)),
        "bullet_lines": share(sum(line.startswith(curator_signals.BULLETS) for line in ends), len(ends)),
    }
    for n in range(2, 11):
        grams = ngrams(words, n)
        if not grams:
            value = 1.0
        elif n < 5:
            top = " ".join(Counter(grams).most_common(1)[0][0])
            value = (size - len(text.replace(top, ""))) / size
        else:
            value = share(repeated_chars(grams, n), size)
        found[f"{'top' if n < 5 else 'dup'}_{n}gram"] = value
    return {f"curator_{name}": value for name, value in found.items()}


def repeated_chars(grams: list[tuple[str, ...]], n: int) -> int:
    """Words of n-grams that came before, and the spaces between them; a word that two of them share counts once."""
    seen: set[tuple[str, ...]] = set()
    counted: set[int] = set()
    chars = 0
    for place, gram in enumerate(grams):
        if gram in seen:
            new = [step for step in range(n) if place + step not in counted]
            chars += sum(len(gram[step]) for step in new) + min(len(new), n - 1)
            counted.update(place + step for step in new)
        seen.add(gram)
    return chars


def test_curator_counts_as_its_filters_do(texts: list[str]) -> None:
    assert_same(table(texts, "curator"), texts, curator)


# ---------------------------------------------------------------------------------------------------------
# dolma


def dolma(text: str) -> dict[str, float]:
    words, lines, small = text.split(), text.split("\n"), text.lower()
    chars, copies = sum(map(len, words)), Counter(lines)
    found = {
        "words": len(words),
        "required_words": sum(word in STOPS for word in words),
        "curly_brace": "{" in text,
        "lorem_ipsum": "lorem ipsum" in small,
        "javascript": "javascript" in small,
        "median_word_length": statistics.median(map(len, words)) if words else 0,
        "symbol_words": share(sum("#" in word or "\u2026" in word for word in words), len(words)),
        "alpha_words": share(sum(any(map(str.isalpha, word)) for word in words), len(words)),
        "bullet_lines": sum(line.startswith(("*", "-")) for line in lines) / len(lines),
        "ellipsis_lines": sum(line.endswith("\u2026") for line in lines) / len(lines),
        "recurring_lines": sum(count for count in copies.values() if count > 1) / len(lines),
        "recurring_line_chars": sum(len(line) * count for line, count in copies.items() if count > 1) / max(1, chars),
    }
    for n in range(2, 11):
        counts = Counter(ngrams(words, n))
        sizes = {gram: count * sum(map(len, gram)) for gram, count in counts.items()}
        if n < 5:
            value = share(sizes[counts.most_common(1)[0][0]], chars) if counts else 0
        else:
            value = share(sum(size for gram, size in sizes.items() if counts[gram] > 1), sum(sizes.values()))
        found[f"{'top' if n < 5 else 'dup'}_{n}gram"] = value
    return {f"dolma_{name}": value for name, value in found.items()}


def test_dolma_counts_as_its_taggers_do(texts: list[str]) -> None:
    assert_same(table(texts, "dolma"), texts, dolma)


# ---------------------------------------------------------------------------------------------------------
# DCLM


def fasttext_words(text: str) -> int:
    return sum(word[0].isalnum() for word in re.split("[ \n\r\t\v\f\0]+", text) if word)


def dclm_cut(text: str) -> str:
    """The line rules one line after the other."""
    kept = []
    for line in re.sub("\n{3,}", "\n\n", text).split("\n"):
        numbers = r"\W*\d(?:,|\.|\d)*[kmb]?\s+(?:" + "|".join(dclm_lines.COUNTED) + r")\W*"
        if line and (
            sum(map(str.isupper, line)) / len(line) > 0.5
            or all(map(str.isdigit, line))
            or re.fullmatch(numbers, line.lower())
            or len(line.split()) < 2
        ):
            continue
        left = line
        for pattern in (r"\s?items in cart", r"\s?read more...$", r"^sign-in\s?"):
            left = re.sub(pattern, "", left, flags=re.I) if len(left.split()) <= 10 else left
        if left.strip() or not line:
            kept.append(left)
    return "\n".join(kept).strip()


def dclm(text: str) -> dict[str, float]:
    words = text.split()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    found = {
        "words": fasttext_words(text),
        "stop_words": sum(word.lower() in STOPS for word in words),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "symbol_ratio": share(sum(map(text.count, ("#", "...", ". . .", "\u2026"))), len(words), 1),
        "bullet_lines": share(sum(line.startswith(("\u25cf", "\u2022", "*", "-")) for line in lines), len(lines)),
        "ellipsis_lines": share(sum(line.endswith(("...", ". . .", "\u2026")) for line in lines), len(lines)),
        "words_without_letter": share(sum(not any(map(str.isalpha, word)) for word in words), len(words), 1),
        "removed_words": share(fasttext_words(text) - fasttext_words(dclm_cut(text)), fasttext_words(text), 1),
    }
    for name, parts in (("line", lines), ("paragraph", [p.strip() for p in text.split("\n\n") if p.strip()])):
        copies = Counter(parts)
        again = [part for part in parts if copies[part] > 1]
        found[f"recurring_{name}s"] = share(len(again), len(parts))
        found[f"recurring_{name}_chars"] = share(sum(map(len, again)), sum(map(len, parts)))
    spelled = [word for chunk in words for word in uax29.words(chunk)]
    chars = sum(map(len, spelled))
    for n in range(2, 11):
        grams = ngrams(spelled, n)
        counts = Counter(grams)
        most = max(counts.values(), default=1)
        if n < 5:
            sizes = [sum(map(len, gram)) for gram, count in counts.items() if count == most > 1]
            value = share(most * max(sizes, default=0), chars)
        else:
            covered = {p + step for p, gram in enumerate(grams) if counts[gram] > 1 for step in range(n)}
            value = share(sum(len(spelled[place]) for place in covered), chars)
        found[f"{'top' if n < 5 else 'dup'}_{n}gram"] = value
    return {f"dclm_{name}": value for name, value in found.items()}


def test_dclm_counts_as_its_code_does(texts: list[str]) -> None:
    assert_same(table(texts, "dclm"), texts, dclm)


def test_dclm_line_rules_leave_what_its_modifiers_leave(texts: list[str]) -> None:
    assert edited(pa.array(texts), dclm_lines.line_edits(pa.array(texts))).to_pylist() == list(map(dclm_cut, texts))


# ---------------------------------------------------------------------------------------------------------
# All of them


def test_slices_chunks_and_nulls_change_nothing(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(dialects.SCHEMAS)
    whole = dialects.signals(pa.array(texts), names)
    assert whole.schema == dialects.schema(names)
    assert not any(column.null_count for column in whole.columns)
    monkeypatch.setattr(dialects, "SLICE_BYTES", 20_000)
    apart = pa.chunked_array([pa.array(texts[:7]), pa.array([], pa.string()), pa.array(texts[7:])])
    assert dialects.signals(apart, names).equals(whole)
    backwards = dialects.signals(pa.array(texts[::-1], pa.large_string()), names)
    assert backwards.equals(whole.take(list(range(len(texts)))[::-1]).combine_chunks())
    assert dialects.signals(pa.array([None, ""]), names)[0:1].equals(dialects.signals(pa.array([""]), names))
    assert dialects.signals(pa.array([], pa.string()), names).num_rows == 0


@pytest.mark.parametrize("name", sorted(dialects.SCHEMAS))
def test_a_preset_reads_every_signal_of_its_dialect_and_no_other(name: str) -> None:
    read = [rule.signal for rule in rules.preset(name).rules]
    assert set(read) == set(dialects.SCHEMAS[name].names)
    assert dialects.needed(read) == {name: dialects.VERSIONS[name]}
    assert dialects.needed(["language", "num_words"]) == {}


@pytest.mark.parametrize(
    "text",
    [
        "a " * 500_000,
        "a" * 400_000 + " " + "a" * 400_000 + " " + "a" * 100_000,
        "\n" * 1_000_000,
        "3 likes\n" * 60_000,
        "1" * 300_000 + " likes" + "#" * 300_000,
        "http://" * 100_000,
        "_'" * 200_000 + '\u05d0"' * 200_000,
    ],
    ids=("words", "letters", "newlines", "counters", "one counter", "addresses", "quotes"),
)
def test_time_is_linear_on_hostile_text(text: str) -> None:
    dialects.signals(pa.array([text[:1000]]), dialects.SCHEMAS)  # compiles
    started = time.process_time()
    for name in dialects.SCHEMAS:
        table([text], name)
    assert time.process_time() - started < 5


# ---------------------------------------------------------------------------------------------------------
# Against Curator itself, where SIRDAR_PEERS names a folder with its environment


def test_curator_itself_drops_the_same_texts(texts: list[str], tmp_path: Path) -> None:
    python = Path(os.environ.get("SIRDAR_PEERS", "")) / "curator" / "bin" / "python"
    if not os.environ.get("SIRDAR_PEERS") or not python.exists():
        pytest.skip("no environment of nemo-curator (set SIRDAR_PEERS)")
    texts = [f"{text} {made(number)} {made(number + 1)}" for number, text in enumerate(texts) if text.split()]
    source, target = tmp_path / "texts.parquet", tmp_path / "told.parquet"
    pq.write_table(pa.table({"text": texts}), source)
    script = Path(__file__).parents[1] / "infra" / "benchmarks" / "corpus" / "peer_curator_scores.py"
    subprocess.run([str(python), str(script), str(source), str(target), "0", "1", "0"], check=True, capture_output=True)
    told = pq.read_table(target)
    found = dialects.signals(pa.array(texts), ["curator"])
    preset = rules.preset("curator").rules
    asked = {}
    for rule in preset:
        name = rule.reason.removesuffix("_min").removesuffix("_max")
        values = found[rule.signal].to_pylist()
        broken = [value < rule.limit if rule.least else value > rule.limit for value in values]
        asked[name] = [a or b for a, b in zip(broken, asked.get(name, [False] * len(texts)), strict=True)]
    assert list(asked) == [name for name in told.column_names if f"{name}_kept" in told.column_names]
    for name, dropped in asked.items():
        if not name.startswith("repeating_top"):  # of several commonest n-grams it takes any
            assert told[f"{name}_kept"].to_pylist() == [not one for one in dropped], name
