"""Which characters part the words of a chunk, as spaCy's English tokeniser has them: the sets behind its rules."""

import re
from itertools import product


def code_points(ranges: str) -> str:
    """The characters of hexadecimal ranges like `21 104A-104B`."""
    return "".join(chr(code) for first, last in _bounds(ranges) for code in range(first, last + 1))


def _bounds(ranges: str) -> list[tuple[int, int]]:
    parts = (part.partition("-") for part in ranges.split())
    return [(int(first, 16), int(last or first, 16)) for first, _, last in parts]


_UNSPACED_LETTER = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u1000-\u102a\u103f"
    "\u1050-\u1055\u1780-\u17b3\u3005\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
_UNSPACED_MARK = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059"
    "\u17b4-\u17d3\u17dd\u3099\u309a\uff9e\uff9f"
)
UNSPACED_LETTER = re.compile(f"[{_UNSPACED_LETTER}]")
UNSPACED_MARK = re.compile(f"[{_UNSPACED_MARK}]")
UNSPACED = re.compile(f"{UNSPACED_LETTER.pattern}{UNSPACED_MARK.pattern}*")

# Characters that the rules take for letters: whole blocks for scripts without case, marks and digits among them.
_BLOCKS = """
            C0-D6 D8-F6 F8-1BF 1C4-2AF 386 388-38A 38C 38E-38F 391-3A9 3AC-3AF 3B1-3C9 3CC-3CE 400-401 403-40A 40C-40D
            410-451 453-45A 45C-45D 490-491 496-497 4A2-4A3 4AE-4AF 4BA-4BB 4D8-4D9 4E8-4E9 591-5F4 620-64A 66E-6D5
            6E5-6FF 750-77F 8A0-8BD 900-9FF B80-CFF D80-DFF 1100-137F 1D00-1D25 1D6B-1D77 1D79-1D9A 1E00-1EFF
            2C60-2C7B 2C7E-2C7F 2E80-2FDF 2FF0-30FF 31C0-31EF 3200-4DBF 4E00-9FFF A722-A76F A771-A787 A78B-A78E
            A790-A7B9 A7FA AB30-AB5A AB60-AB64 AC00-D7AF F900-FAFF FB1D-FBB1 FBD3-FD3D FD50-FDC7 FDF0-FDFB FE30-FE4F
            FE70-FEFC FF21-FF3A FF41-FF5A 1EE00-1EEBB 1F200-1F2FF 20000-2A6DF 2A700-2EBEF 2F800-2FA1F
"""
_LETTERS = "A-Za-z" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in _bounds(_BLOCKS))
LETTER = re.compile(f"[{_LETTERS}]")

QUOTES = "'\"\u201d\u201c`\u2018\u00b4\u2019\u201a,\u201e\u00bb\u00ab" + (
    "\u300c\u300d\u300e\u300f\uff08\uff09\u3014\u3015\u3010\u3011\u300a\u300b\u3008\u3009\u2329\u232a\u27e6\u27e7"
)
_PUNCTUATION = "\u2026,:;!?\u00bf\u061f\u00a1()[]{}<>_#*&" + (
    "\u3002\uff1f\uff01\uff0c\u3001\uff1b\uff1a\uff5e\u00b7\u0964\u060c\u06d4\u061b\u066a"
)
_DASHES = "\u2014\u2013"
CURRENCY = frozenset("$\u00a3\u20ac\u00a5\u0e3f\u20bd\ufdfc\u20b4" + code_points("20A0-20BF"))
DOLLARS = ("US$", "C$", "A$")

# Marks that are words of their own at either end of a chunk; symbols of category So are too.
EDGE_MARKS = frozenset(_PUNCTUATION + QUOTES + _DASHES)
START_MARKS = EDGE_MARKS | CURRENCY | frozenset("\u00a7%=")
BEFORE_A_STOP = frozenset(_PUNCTUATION + QUOTES + "|%\u00b2-+0123456789")  # a full stop behind them goes
DIGITS = frozenset("0123456789")

# What is cut off behind a digit where a chunk ends.
_OTHER_UNITS = """
    ha \u00b5m nm yd in ft kg g mg \u00b5g t lb oz m/s km/h kmh mph hPa Pa mbar mb kb gb tb MB KB GB TB T G M K %
    \u043d\u043c \u043a\u0433 \u0433 \u043c\u0433 \u043c/\u0441 \u043a\u043c/\u0447 \u041f\u0430 \u043a\u041f\u0430
    \u043c\u0431\u0430\u0440 \u043a\u0431 \u043c\u0431 \u0433\u0431
    \u063a\u0631\u0627\u0645 \u062c\u0631\u0627\u0645 \u062c\u0645 \u0643\u063a \u0645\u0644\u063a
    \u0643\u0648\u0628 \u0627\u0643\u0648\u0627\u0628
"""
_METRES = (("kdcm", "m"), ("\u043a\u0434\u0441\u043c", "\u043c"), ("\u0643\u0633\u0645", "\u0645"))
UNITS = frozenset(
    [
        *_OTHER_UNITS.split(),
        *("".join(unit) for unit in product("\u041a\u041c\u0413\u0422", "\u0431\u0411")),
        *(
            "".join(unit)
            for scales, metre in _METRES
            for unit in product(["", *scales], metre, ("", "\u00b2", "\u00b3"))
        ),
    ]
)
MAX_UNIT_CHARS = max(map(len, UNITS))
WIDE_MARKS = "\u3001\u3002\u3008-\u3011\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"
INNER_MARKS = frozenset(".,-+*^~:<>=/\u2013\u2014")
LONGEST = {"-": 3, "\u2014": 2}  # of those that may be repeated
