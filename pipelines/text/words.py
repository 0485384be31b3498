"""Words, lines, paragraphs and sentences: the one tokeniser that the quality rules and MinHash share.

Words are counted as spaCy's blank English tokeniser counts them (pipelines/text/chunks.py has the rules and the
treatment of scripts without spaces), because the published filters count so.

A chunk between white space is cut the same way wherever it stands. So this is the readable reference: long runs of
texts go through `pipelines.text.vocabulary`, which cuts each chunk once, and `pipelines.text.normalised`, compiled.
"""

import re
import unicodedata
from itertools import chain

from pipelines.text.chunk_marks import UNSPACED, code_points
from pipelines.text.chunks import cut_chunk

# What the rules ask of a word, as bits.
NON_SYMBOL, ALPHA, TERMINAL, PUNCTUATION = 1, 2, 4, 8

# Unicode's property Sentence_Terminal: what ends a sentence, in any script.
TERMINAL_MARKS = code_points(
    """
    21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736
    17D4-17D5 1803 1809 1944-1945 1AA8-1AAB 1B4E-1B4F 1B5A-1B5B 1B5E-1B5F 1B7D-1B7F 1C3B-1C3C 1C7E-1C7F
    2024 203C-203D 2047-2049 2CF9-2CFB 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877
    A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE12 FE15-FE16 FE52 FE56-FE57 FF01 FF0E FF1F FF61
    10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD
    111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642
    1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F
    16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88
    """
)

NUMBER_MARKS = ".,\u060c\u066b"  # one of them between digits belongs to the number
_NUMBER = re.compile(rf"\d+(?:[{NUMBER_MARKS}]\d+)?")
_PARAGRAPH_BREAK = re.compile(r"\n{2,}")
_LINE_BREAK = re.compile(r"\n+")


def words(text: str) -> list[str]:
    """The words of a text, punctuation marks among them, in order; none is empty or holds white space."""
    return list(chain.from_iterable(map(cut_chunk, text.split())))


def lines(text: str) -> list[str]:
    """Runs between newlines, not stripped; an empty first or last one counts, as published filters do."""
    return _LINE_BREAK.split(text)


def paragraphs(text: str) -> list[str]:
    """Runs between blank lines of the stripped text; one empty paragraph where there is no text."""
    return _PARAGRAPH_BREAK.split(text.strip())


def num_sentences(text: str) -> int:
    """Sentences: after a terminal mark, the next word that is no punctuation begins one; 0 without words.

    A mark inside a word ("U.S.", "3.14") ends nothing. Any script. Several lines are read as one.
    """
    count, ended = 0, False
    for kind in map(word_kind, words(text)):
        count = count or 1
        if kind & TERMINAL:
            ended = True
        elif ended and not kind & PUNCTUATION:
            count, ended = count + 1, False
    return count


def word_kind(word: str) -> int:
    """The bits NON_SYMBOL, ALPHA, TERMINAL (a terminal mark alone) and PUNCTUATION (nothing else in it)."""
    if word.isalpha():  # most are
        return NON_SYMBOL | ALPHA
    categories = [unicodedata.category(character)[0] for character in word]
    return (
        NON_SYMBOL * any(category not in "PSC" for category in categories)
        | ALPHA * any(map(str.isalpha, word))
        | TERMINAL * (len(word) == 1 and word in TERMINAL_MARKS)
        | PUNCTUATION * all(category == "P" for category in categories)
    )


def normalised_words(text: str) -> list[str]:
    """Words for MinHash: lower case, numbers as "0", no punctuation, symbols or diacritics (NFD minus Mn).

    Every character is treated by itself, so a sigma at the end of a word is one like any other.
    `pipelines.text.normalised` has the same, compiled.
    """
    return list(chain.from_iterable(map(normalised_chunk, text.split())))


def normalised_chunk(chunk: str) -> list[str]:
    """`normalised_words` of a text without white space; those of a text are its chunks' in a row."""
    return _plain(_NUMBER.sub("0", chunk.lower()))


def exact_chunk(chunk: str) -> list[str]:
    """`normalised_chunk`, but numbers keep their digits: "1,000.5" is "1", "000", "5"."""
    return _plain(chunk.lower())


def _plain(chunk: str) -> list[str]:
    return UNSPACED.sub(r" \g<0> ", chunk.translate(NORMAL)).split()


class _Normal(dict[int, str]):
    """Code point in lower case -> what stands for it in normalised words, filled as it is asked; a mark is a space."""

    def __missing__(self, code: int) -> str:
        kept = [
            character
            for character in unicodedata.normalize("NFD", chr(code))
            if unicodedata.category(character) != "Mn"
        ]
        found = "".join(" " if unicodedata.category(character)[0] in "PSCZ" else character for character in kept)
        self[code] = found.replace("\u03c2", "\u03c3")
        return self[code]


NORMAL = _Normal()
