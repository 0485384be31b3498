"""Texts that stand just below, on and just above the limit of one quality rule, by reason; the same ones always."""

import random
from collections.abc import Callable, Iterator

_LISTED = """
    river valley farm mill wheel flour order weir summer railway course bed path station church tower wall stone
    hill forest field road bridge market town village lake island coast harbour ship sail wind storm winter spring
    garden orchard barn cattle sheep wool cloth trade merchant guild council law court judge prison castle king
    queen army battle siege treaty border province county parish school teacher pupil library book printer paper
    letter poet song dance painter picture museum doctor hospital plague famine harvest bread salt iron copper
    silver gold coin bank debt tax rent tenant owner house roof window door table chair lamp candle fire smoke
"""
WORDS = _LISTED.split()
STOPS = ("the", "be", "to", "of", "and", "that", "have", "with")
BREAKS = ("\n", "\n", "\n", "\r\n", "\n", "\x0b", "\x85", "\u2028")  # what ends a line for str.splitlines
PER_RULE = 450

Maker = Callable[[random.Random], str]


def texts() -> Iterator[tuple[str, str]]:
    """(reason, text), PER_RULE of each, 0.9 of that for the longest."""
    for reason, maker in MAKERS.items():
        chance = random.Random(reason)
        for _ in range(PER_RULE if reason != "gopher_long_doc" else 410):
            yield reason, maker(chance)


def _words(chance: random.Random, count: int) -> list[str]:
    return [chance.choice(WORDS) for _ in range(count)]


def _fresh(chance: random.Random, count: int) -> list[str]:
    """Words that hardly ever come twice."""
    return [chance.choice(WORDS) + "".join(chance.choices("bcdfglmnprst", k=4)) for _ in range(count)]


def _sentence(chance: random.Random, least: int = 6, most: int = 14) -> str:
    found = _fresh(chance, chance.randint(least, most))
    found.insert(1, chance.choice(STOPS))
    return " ".join(found).capitalize() + chance.choice("...!?")


def _near(chance: random.Random, share: float, total: int) -> int:
    """How many of `total` are about the share."""
    return max(0, min(total, round(share * total) + chance.choice((-1, 0, 0, 1, 1))))


def _copies(element: Callable[[random.Random], str], glue: str, share: float) -> Maker:
    """Elements of which about a share repeat one that came before."""

    def make(chance: random.Random) -> str:
        total = chance.randint(5, 40)
        again = _near(chance, share, total)
        found = [element(chance) for _ in range(total - again)]
        for _ in range(again):
            found.insert(chance.randint(1, len(found)), chance.choice(found))
        return glue.join(found) + chance.choice(("", "\n", " \n"))

    return make


def _copied_chars(glue: str, share: float) -> Maker:
    """Elements of any length, repeated until about a share of the characters are copies."""

    def make(chance: random.Random) -> str:
        found = [_sentence(chance, 1, 40) for _ in range(chance.randint(6, 30))]
        size, copied = sum(map(len, found)), 0
        aim = share * chance.choice((0.9, 0.99, 1.01, 1.1))
        while copied < aim * (size + copied):
            found.append(chance.choice(found))
            copied += len(found[-1])
        chance.shuffle(found)
        return glue.join(found)

    return make


def _top(n: int, share: float) -> Maker:
    def make(chance: random.Random) -> str:
        found, gram = _fresh(chance, chance.randint(40, 120)), _fresh(chance, n)
        size, added = len(" ".join(found)), 0
        while added < share * chance.choice((0.9, 0.99, 1.01, 1.1)) * (size + added):
            place = chance.randint(0, len(found))
            found[place:place] = gram
            added += len(" ".join(gram)) + 1
        return " ".join(found)

    return make


def _repeated(n: int, share: float) -> Maker:
    def make(chance: random.Random) -> str:
        found = _fresh(chance, chance.randint(40, 150))
        size, added = len(" ".join(found)), 0
        while added < share * chance.choice((0.95, 1.0, 1.1)) * (size + added):
            first = chance.randrange(len(found) - n)
            gram = found[first : first + n + chance.randint(0, 2)]
            found += [*gram, chance.choice(WORDS)]
            added += len(" ".join(gram)) + 1
        return " ".join(found)

    return make


def _count(limit: int) -> Maker:
    """About so many words, some with an apostrophe, a hyphen or a mark at their end, and some marks alone."""

    def make(chance: random.Random) -> str:
        found = []
        for word in _words(chance, limit + chance.choice((-2, -1, -1, 0, 0, 1))):
            found.append(word + chance.choice(("", "", "", ",", ".", "!", '"', ")")))
            if chance.random() < 0.1:
                found.append(chance.choice(("-", "*", "...", "\u2014", "|", "=", "&")))
        return chance.choice((" ", "  ", "\n", "\t", "\u00a0")).join(found)

    return make


def _long(chance: random.Random) -> str:
    return " ".join(chance.choices(("a", "b", "of", "we"), k=100_000 + chance.choice((-1, 0, 1, 1))))


def _mean_length(limit: int) -> Maker:
    def make(chance: random.Random) -> str:
        lengths = [max(1, limit + chance.choice((-2, -1, 0, 0, 1, 2))) for _ in range(60)]
        off = sum(lengths) - 60 * limit - chance.choice((-1, 0, 1, 1, -1))
        step = -1 if off > 0 else 1
        for place in range(abs(off)):
            lengths[place % 60] = max(1, lengths[place % 60] + step)
        spelled = ("".join(chance.choices("bdfgklmnprtvz", k=length)) for length in lengths)
        return " ".join(word + chance.choice(("", "", " ,", " .")) for word in spelled)

    return make


def _marks(mark: str, share: float) -> Maker:
    """Marks between words until about so many come on every word, themselves among the words."""

    def make(chance: random.Random) -> str:
        found = _words(chance, chance.randint(50, 120))
        count = _near(chance, share, round(len(found) / (1 - share)))
        for _ in range(count):
            found.insert(chance.randint(0, len(found)), mark)
        return " ".join(found)

    return make


def _lines(plain: Maker, special: Maker, share: float, least: int = 8, most: int = 60) -> Maker:
    """Lines of which about a share are special, by any kind of line break."""

    def make(chance: random.Random) -> str:
        total = chance.randint(least, most)
        count = _near(chance, share, total)
        found = [special(chance) for _ in range(count)] + [plain(chance) for _ in range(total - count)]
        chance.shuffle(found)
        glue = chance.choice(BREAKS)
        return glue.join(found) + chance.choice(("", glue))

    return make


def _newlines(maker: Maker) -> Maker:
    """The same, lines parted by newlines only: FineWeb's rules know no other."""

    def make(chance: random.Random) -> str:
        return "\n".join(maker(chance).splitlines())

    return make


def _bullet(chance: random.Random) -> str:
    return (
        chance.choice(("", " ", "\t", "\u3000")) + chance.choice(("-", "\u2022", "- ", "\u2022 ")) + _sentence(chance)
    )


def _trailing(chance: random.Random) -> str:
    return _sentence(chance)[:-1] + chance.choice(("...", "\u2026", "....")) + chance.choice(("", " ", "\u00a0"))


def _numbers(chance: random.Random) -> str:
    total = chance.randint(60, 140)
    count = _near(chance, 0.8, total)
    found = _words(chance, count) + [str(chance.randint(1, 9999)) for _ in range(total - count)]
    chance.shuffle(found)
    return " ".join(found)


def _stops(chance: random.Random) -> str:
    found = _words(chance, 60) + chance.sample(STOPS, chance.choice((0, 1, 1, 2, 2, 3)))
    found += [chance.choice(STOPS).capitalize()]
    found += [chance.choice(found)] * 3  # a stop word that comes again is still one
    chance.shuffle(found)
    return " ".join(found)


def _holding(mark: Callable[[random.Random], str]) -> Maker:
    """A page that holds a mark or something like it, in a line of its own, of enough words or of too few."""

    def make(chance: random.Random) -> str:
        found = [_sentence(chance) for _ in range(8)]
        before, behind = _words(chance, chance.randint(0, 4)), _words(chance, chance.randint(0, 4))
        found.insert(chance.randint(0, 8), " ".join([*before, mark(chance), *behind]) + ".")
        return "\n".join(found)

    return make


def _lorem(chance: random.Random) -> str:
    return chance.choice(("lorem ipsum", "Lorem ipsum", "LOREM IPSUM", "lorem  ipsum", "lorem", "xlorem ipsumx"))


def _brace(chance: random.Random) -> str:
    return chance.choice(("{", "{}", "a{b", "}", "(", "x = {"))


def _sentences(chance: random.Random) -> str:
    count = chance.choice((3, 4, 4, 5, 5, 6))
    found = [_sentence(chance, 3, 8) for _ in range(count)]
    text = found[0]
    for sentence in found[1:]:
        text += chance.choice((" ", " ", "\n", '" ', "\n\n", " 3.5 ")) + sentence
    return text


def _long_lines(chance: random.Random) -> str:
    sizes = [chance.choice((199, 200, 200, 201)) for _ in range(3)] + [chance.randint(0, 199) for _ in range(4)]
    chance.shuffle(sizes)
    letters = chance.choice(("ab ", "\u00e9\u00e8 ", "\u4e2d\u6587", "\U0001f600x"))
    return "\n".join((letters * 201)[:size] for size in sizes)


def _unmarked(chance: random.Random) -> str:
    return " ".join(_fresh(chance, chance.randint(6, 14)))


def _marked(chance: random.Random) -> str:
    return _unmarked(chance) + chance.choice((".", "!", "?", "\u3002", "\u203d", "\u061f"))


def _short(chance: random.Random) -> str:
    size = chance.choice((29, 30, 30, 31))
    return (" ".join(_words(chance, 8))[: size - 1]).strip().ljust(size - 1, "x") + "."


def _few_copies(chance: random.Random) -> str:
    """One line twice, about a hundredth of all characters."""
    again = _sentence(chance, 3, 4)
    size = round(len(again) / 0.01) - 2 * len(again) + chance.choice((-9, -1, 0, 1, 9))
    found = []
    while size > 0:
        found.append(_sentence(chance))
        size -= len(found[-1])
    found[-1] = found[-1][:size] if size and len(found[-1]) + size > 30 else found[-1]
    return "\n".join([again, *found, again])


def _listed(chance: random.Random) -> str:
    """Lines of three words and a last longer one, of about 0.3 newlines to a word."""
    lines = chance.randint(12, 48)
    words = round((lines - 1) / 0.3) + chance.choice((-4, -1, -1, 0, 1, 4))
    found = [" ".join(_fresh(chance, 3)) for _ in range(lines - 1)]
    return "\n".join([*found, " ".join(_fresh(chance, max(3, words - 3 * len(found))))])


MAKERS: dict[str, Maker] = {
    "dup_para_frac": _copies(_sentence, "\n\n", 0.3),
    "dup_para_char_frac": _copied_chars("\n\n\n", 0.2),
    "dup_line_frac": _copies(_sentence, "\n", 0.3),
    "dup_line_char_frac": _copied_chars("\n", 0.2),
    **{f"top_{n}_gram": _top(n, share) for n, share in ((2, 0.20), (3, 0.18), (4, 0.16))},
    **{
        f"duplicated_{n}_n_grams": _repeated(n, share)
        for n, share in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    },
    "gopher_short_doc": _count(50),
    "gopher_long_doc": _long,
    "gopher_below_avg_threshold": _mean_length(3),
    "gopher_above_avg_threshold": _mean_length(10),
    "gopher_too_many_hashes": _marks("#", 0.1),
    "gopher_too_many_ellipsis": _marks("\u2026", 0.1),
    "gopher_too_many_bullets": _lines(_sentence, _bullet, 0.9),
    "gopher_too_many_end_ellipsis": _lines(_sentence, _trailing, 0.3),
    "gopher_below_alpha_threshold": _numbers,
    "gopher_enough_stop_words": _stops,
    "lorem_ipsum": _holding(_lorem),
    "curly_bracket": _holding(_brace),
    "too_few_sentences": _sentences,
    "too_few_long_lines": _long_lines,
    "line_punct_ratio": _newlines(_lines(_unmarked, _marked, 0.12)),
    "short_line_ratio": _newlines(_lines(_sentence, _short, 0.67)),
    "char_dup_ratio": _few_copies,
    "list_ratio": _listed,
}
