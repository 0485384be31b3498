"""Texts at the limits of NeMo Curator's English heuristics: `ours_curator_texts.py OUT.parquet`; the same ones always.

For each filter PER_FILTER texts below, on and above its limit, with decoys that look like what it counts.
"""

import json
import random
import sys
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from adversarial import STOPS, WORDS

PER_FILTER = 450
LONG = 20  # texts about the most words, which are large

Maker = Callable[[random.Random], str]


def main(path: str) -> None:
    rows = [(name, make(random.Random(f"{name} {n}"))) for name, make in MAKERS.items() for n in range(PER_FILTER)]
    rows += [("word_count", _long(random.Random(f"long {n}"))) for n in range(LONG)]
    names, texts = zip(*rows, strict=True)
    pq.write_table(pa.table({"filter": pa.array(names), "text": pa.array(texts, pa.large_string())}), path)
    print(json.dumps({"n": len(texts)}))


def _fresh(chance: random.Random, count: int) -> list[str]:
    """Words that hardly ever come twice."""
    return [chance.choice(WORDS) + "".join(chance.choices("bcdfglmnprst", k=4)) for _ in range(count)]


def _near(chance: random.Random, share: float, total: int) -> int:
    """How many of `total` are about the share, exactly at it when that is whole."""
    return max(0, min(total, round(share * total) + chance.choice((-2, -1, 0, 0, 1, 2, 5))))


def _characters(special: str, others: str, share: float) -> Maker:
    def make(chance: random.Random) -> str:
        total = 20 * chance.randint(5, 40)
        some = _near(chance, share, total)
        found = chance.choices(special, k=some) + chance.choices(others, k=total - some)
        chance.shuffle(found)
        return "".join(found)

    return make


def mixed(special: Maker, other: Maker, share: float, glue: str, least: int, most: int) -> Maker:
    """Elements of which about a share are special, in any order."""

    def make(chance: random.Random) -> str:
        total = chance.randint(least, most)
        some = _near(chance, share, total)
        found = [special(chance) for _ in range(some)] + [other(chance) for _ in range(total - some)]
        chance.shuffle(found)
        return glue.join(found)

    return make


def _one_of(*pieces: str) -> Maker:
    return lambda chance: chance.choice(pieces)


def _word(chance: random.Random) -> str:
    return chance.choice((_fresh(chance, 1)[0], chance.choice(WORDS), "\u03bb\u03cc\u03b3\u03bf\u03c2", "\u65e5\u672c"))


def _line(chance: random.Random) -> str:
    return " ".join(_fresh(chance, chance.randint(3, 12)))


def ending(*marks: str) -> Maker:
    return lambda chance: _line(chance) + chance.choice(marks) + chance.choice(("", "", " ", "\t", "\u00a0"))


def starting(*marks: str) -> Maker:
    return lambda chance: chance.choice(("", "  ", "\t")) + chance.choice(marks) + " " + _line(chance)


def _policy(chance: random.Random) -> str:
    phrase = chance.choice(("terms of use", "Privacy Policy", "COOKIE POLICY", "uses cookies", "Use of Cookies"))
    return f"{_line(chance)} {phrase} {_line(chance)}"


def _no_policy(chance: random.Random) -> str:
    phrase = chance.choice(("terms of  use", "privacy\npolicy", "cookies policies", "used cookies", "lorem-ipsum"))
    return f"{_line(chance)} {phrase} {_line(chance)}"


def _copies(element: Maker, glue: str, distinct: float, by_characters: bool) -> Maker:
    """Elements of which about a share is distinct, in number or in characters."""

    def make(chance: random.Random) -> str:
        found = [element(chance) for _ in range(chance.randint(5, 30))]
        size, total = (sum(map(len, found)), sum(map(len, found))) if by_characters else (len(found), len(found))
        aim = distinct * chance.choice((0.9, 0.98, 1, 1, 1.02, 1.1))
        while size / total > aim:
            found.append(chance.choice(found))
            total += len(found[-1]) if by_characters else 1
        chance.shuffle(found)
        return glue.join(found)

    return make


def _addresses(chance: random.Random) -> str:
    address = chance.choice(("https://a.example/b%20c?d=e&f", "http://x.example/(y)*,z", "https://e.example/~f#g"))
    decoy = chance.choice((" ftp://h.example ", " https:// ", " http//i ", ' <a href="', " %zz "))
    least = round(len(address) / chance.choice((0.17, 0.19, 0.2, 0.2, 0.201, 0.21, 0.25))) - len(address)
    rest = decoy + " ".join(_fresh(chance, 40))
    return rest[: least // 2] + " " + address + " " + rest[least // 2 : least - 2]


def _count(chance: random.Random) -> str:
    return chance.choice((" ", "\n", "\u00a0", "\u3000", "\x1c")).join(_fresh(chance, chance.randint(45, 55)))


def _long(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=100_000 + chance.choice((-1, 0, 1, 2))))


def _mean_length(chance: random.Random) -> str:
    total, mean = chance.randint(50, 90), chance.choice((3, 10))
    lengths = [mean] * total
    for _ in range(abs(more := chance.choice((-3, -1, 0, 0, 1, 3)))):
        lengths[chance.randrange(total)] += 1 if more > 0 else -1
    return " ".join("".join(chance.choices("abcdefgh\u00e9\u03bb", k=length)) for length in lengths)


def _longest(chance: random.Random) -> str:
    long = "".join(chance.choices("ab\u00e9\u8a9e\U0001d7d8.", k=chance.randint(996, 1005)))
    return f"{_line(chance)} {long} {_line(chance)}"


def _common(chance: random.Random) -> str:
    decoys = chance.choices(("The", "AND", "of,", "tobe", "those"), k=4)
    found = _fresh(chance, 50) + decoys + chance.choices(STOPS, k=chance.randint(0, 3))
    chance.shuffle(found)
    return " ".join(found)


def _top(n: int, share: float) -> Maker:
    """One n-gram again and again, in other words too, or across a line end."""

    def make(chance: random.Random) -> str:
        gram = chance.choices(WORDS, k=n)
        times = chance.randint(4, 12)
        size = times * len(" ".join(gram))
        rest = round(size / (share * chance.choice((0.9, 0.99, 1, 1.01, 1.1, 1.3, 1.5)))) - size
        filler = _fresh(chance, max(times + 1, rest // 10))
        found: list[str] = []
        for place, word in enumerate(filler):
            found.append(word)
            if place < times:
                found.append(" ".join(gram) if place or chance.random() < 0.7 else f"un{chr(10).join(gram)}")
        return " ".join(found)

    return make


def _repeated(n: int, share: float) -> Maker:
    """Phrases of n words or more that come again, some at once, so that their n-grams overlap."""

    def make(chance: random.Random) -> str:
        phrase = _fresh(chance, chance.randint(n, n + 4))
        times = chance.randint(2, 6)
        size = (times - 1) * len(" ".join(phrase))
        total = size / (share * chance.choice((0.9, 0.98, 1, 1.02, 1.1)))
        filler = _fresh(chance, max(times, round((total - size) / 10.5)))
        found = [[word] for word in filler]
        for _ in range(times):
            found.insert(chance.randrange(len(found)), phrase * chance.choice((1, 1, 2)))
        return " ".join(word for part in found for word in part)

    return make


_LETTERS = "abcdefghijklmnopqrstuvwxyzABC"
_ENDED, _PLAIN = ending(".", "?", "!", '"', "'"), ending("", ",", ":", "\u3002", "\u2026", ").", ".)")

MAKERS: dict[str, Maker] = {
    "alpha_numeric": _characters("-:; \u00e9\u8a9e\t\r#@'\u00a0", _LETTERS + "0123456789\n?!,.", 0.25),
    "symbol_to_word": mixed(
        _one_of("#", "...", "\u2026", "[...]", "(...)", "[\u2026]", "#a#", "-\u00bb"),
        _one_of("##", "a#", "....", "a...", "[..]", "word", "\u00bb-", "##a#"),
        0.1, " ", 50, 120,
    ),
    "numbers_ratio": _characters("0123456789", _LETTERS + " \u0663\u00b2\u216b\u0967", 0.15),
    "urls_ratio": _addresses,
    "white_space": _characters("\t\n\r\b ", _LETTERS + "\u00a0\u3000\x0b\x0c\u2028", 0.25),
    "parentheses_ratio": _characters("{}[]()\u27e8\u27e9", _LETTERS + "<>\u27ea\u3008 ", 0.1),
    "boilerplate_string_ratio": mixed(_policy, _no_policy, 0.4, "\n\n", 2, 20),
    "repeated_lines": _copies(_line, "\n", 0.7, False),
    "repeated_paragraphs": _copies(_line, "\n\n", 0.7, False),
    "repeated_lines_char": _copies(_line, "\n", 0.8, True),
    "repeated_paragraphs_char": _copies(_line, "\n\n", 0.8, True),
    "word_count": _count,
    "punctuation": mixed(_PLAIN, _ENDED, 0.85, "\n", 5, 60),
    "words_without_alphabets": mixed(
        _one_of("12", "--", "\u2764\ufe0f", "3.14", "\u0663", "\u00b2", "#"), _word, 0.2, " ", 20, 120
    ),
    "common_english_words": _common,
    "mean_word_length": _mean_length,
    "max_word_length": _longest,
    "ellipsis": mixed(
        ending("...", "\u2026", " [...]", " Read More", " read more..", "-\u00bb", " (...)"),
        ending("..", ".", " read mor", " [..]", "\u00bb-", " reads more."),
        0.3, "\n", 5, 60,
    ),
    **{f"repeating_top_{n}grams": _top(n, share) for n, share in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{
        f"repeating_dup_{n}gram": _repeated(n, share)
        for n, share in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))
    },
    "bullet_ratio": mixed(
        starting("\u2022", "\u25cf", "\u2023", "\u25e6", "\u29bf", "\u2043"),
        starting("-", "*", "\u00b7", "o", "+"),
        0.9, "\n", 5, 60,
    ),
}  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
