"""Words by Unicode's default rules (UAX 29, section 4.1), cut from chunks between white space.

For each character a letter says which rules are about it; the words are the matches of one linear regular expression
on these letters.
"""

import re
import unicodedata
from functools import cache

from pipelines.text.chunk_marks import code_points

_SINGLE_QUOTE, _DOUBLE_QUOTE = "'", '"'
_MID_LETTER = frozenset(":\u00b7" + code_points("387 55F 5F4 2027 FE13 FE55 FF1A"))
_MID_NUMBER = frozenset(",;" + code_points("37E 589 60C 60D 66C 7F8 2044 FE50 FE54 FF0C FF1B"))
_MID_BOTH = frozenset("." + code_points("2018 2019 2024 FE52 FF07 FF0E"))
_KATAKANA = re.compile(
    "[\u3031-\u3035\u309b\u309c\u30a0-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u32d0-\u32fe\u3300-\u3357\uff66-\uff9d"
    "\U0001aff0-\U0001affe\U0001b000\U0001b120-\U0001b122\U0001b155\U0001b164-\U0001b167]"
)
# Letters that are words of their own: ideographs, Hiragana, and the scripts that put no spaces between words.
_SINGLE = re.compile(
    "[\u3006\u3007\u3021-\u3029\u3038-\u303a\u3041-\u3096\u309d-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U0001b001-\U0001b11f\U0001b150-\U0001b152\U0001f200\U00016fe4\U00017000-\U00018d08\U0001b170-\U0001b2fb"
    "\U00020000-\U0003ffff"
    "\u0e01-\u0e5b\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aad\ua9e0-\ua9fe\uaa60-\uaadf"
    "\U00011700-\U0001174f]"
)
_LETTERLIKE = frozenset(
    code_points("2C2-2C5 2D2-2D7 2DE 2DF 2E5-2EB 2ED 2EF-2FF 55A-55C 55E 58A 5F3 A708-A716 A720 A721 A789 A78A AB5B")
    + code_points("24B6-24E9 1F130-1F149 1F150-1F169 1F170-1F189")
)
_NUMBERS_TOO = frozenset(code_points("600-605 66B 6DD 890 891 8E2 110BD 110CD FF10-FF19"))

# l letter, h Hebrew letter, n number, k Katakana, _ connects, ":" between letters, "," between numbers, "." and
# the quotes between both, e belongs to what it follows, o everything else
_ALNUM = r"(?:le*(?:[:.']e*(?=[lh]))?|he*(?:[:.]e*(?=[lh])|'e*|\"e*(?=h))?|ne*(?:[,.']e*(?=n))?)+"
_RUN = rf"(?:{_ALNUM}|(?:ke*)+)"
_WORD = re.compile(rf"(?=[lhnk_])(?:_e*)*(?:{_RUN}(?:_e*)+)*{_RUN}?|.e*")
_EDGES = "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~"  # never part of a word that begins with a letter or digit, nor ends it


def words(chunk: str) -> tuple[str, ...]:
    """The words of a chunk that begin with a letter or digit of any script."""
    inner = chunk.strip(_EDGES)
    if inner.isascii() and inner.isalnum():
        return (inner,)
    kinds = "".join(map(_kind, chunk))
    found = (chunk[match.start() : match.end()] for match in _WORD.finditer(kinds))
    return tuple(word for word in found if word[0].isalnum())


@cache
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if character in _MID_LETTER:
        return ":"
    if character in _MID_NUMBER:
        return ","
    if character in _MID_BOTH:
        return "."
    if character in (_SINGLE_QUOTE, _DOUBLE_QUOTE):
        return character
    if (
        category in ("Mn", "Mc", "Me")
        or character in "\u200c\u200d\uff9e\uff9f"
        or 0x1F3FB <= ord(character) <= 0x1F3FF
    ):
        return "e"
    if category == "Pc":
        return "_"
    if category == "Nd" or character in _NUMBERS_TOO:
        return "n"
    if category == "Cf" and character != "\u200b":
        return "e"
    if _KATAKANA.match(character):
        return "k"
    if _SINGLE.match(character):
        return "o"
    if "\u05d0" <= character <= "\u05f2" or "\ufb1d" <= character <= "\ufb4f":
        return "h" if character.isalpha() else "o"
    return "l" if character.isalpha() or category == "Nl" or character in _LETTERLIKE else "o"
