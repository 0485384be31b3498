"""How deep a page's elements nest: extractors take time or stack with the square of it, so deep pages are dropped.

resiliparse: 1,000 nested elements take 0.01 s, 10,000 a second, 100,000 over a minute.
"""

import numpy as np

MAX_DEPTH = 10_000
BLOCK_BYTES = 4 << 20
MARGIN_BYTES = 16  # more than a name of _FLAT and the marks around it

# Elements that are empty or close by themselves cannot get deep.
_FLAT = (
    b"area base br col embed hr img input link meta param source track wbr p li dt dd option optgroup tr td th thead "
    b"tbody tfoot colgroup"
).split(b" ")
_WORD = np.zeros(256, bool)
_WORD[[*b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz", *range(128, 256)]] = True


def too_deep(html: str, num_bytes: int, num_tags: int) -> bool:
    """Whether the page nests deeper than MAX_DEPTH, unclosed elements counted.

    `num_bytes` and `num_tags`, the bytes `<`, are of the page as it is stored: a bound that spares nearly all pages.
    """
    if num_bytes <= 3 * MAX_DEPTH or num_tags <= MAX_DEPTH:
        return False  # a byte like `<` may be more than that in some charsets, never less
    if html.count("<") - html.count("</") <= MAX_DEPTH:
        return False
    return depth(html.encode("utf-8", "replace")) > MAX_DEPTH


def depth(html: bytes) -> int:
    """How deep elements nest at most in UTF-8 markup; closing tags without an opening one close nothing."""
    level = deepest = 0
    for at in range(0, len(html), BLOCK_BYTES):
        steps = _steps(html[at : at + BLOCK_BYTES + MARGIN_BYTES], BLOCK_BYTES)
        levels = np.cumsum(steps) + level
        floor = np.minimum(np.minimum.accumulate(levels), 0) if len(levels) else levels
        deepest = max(deepest, int((levels - floor).max(initial=0)))
        level = int(levels[-1] - floor[-1]) if len(levels) else level
    return deepest


def _steps(block: bytes, num_bytes: int) -> np.ndarray:
    """int8 [tags that nest]: 1 for a start tag, -1 for an end tag; of those that begin in the first `num_bytes`."""
    data = np.frombuffer(block + b"\0" * MARGIN_BYTES, np.uint8)
    starts = np.flatnonzero(data[:num_bytes] == ord("<"))
    closing = data[starts + 1] == ord("/")
    names = starts + 1 + closing
    first = data[names] | 0x20
    named = (first >= ord("a")) & (first <= ord("z"))
    names, closing = names[named], closing[named]
    return np.where(closing[~_is_flat(data, names)], np.int8(-1), np.int8(1))


def _is_flat(data: np.ndarray, names: np.ndarray) -> np.ndarray:
    """bool [tags]: the name that begins there is one of _FLAT."""
    longest = max(map(len, _FLAT))
    found = np.zeros(len(names), bool)
    letters = [data[names + index] for index in range(longest + 1)]
    for name in _FLAT:
        same = ~_WORD[letters[len(name)]]
        for index, letter in enumerate(name):
            same &= (letters[index] | 0x20) == letter
        found |= same
    return found
