"""How deep a page's elements nest: extractors take time or stack with the square of it, so deep pages are dropped.

resiliparse: 1,000 nested elements take 0.01 s, 10,000 a second, 100,000 over a minute.
"""

import numba
import numpy as np

from pipelines.reading.charset import Decoded

MAX_DEPTH = 10_000

# Elements that are empty or close by themselves cannot get deep.
_FLAT = (
    b"area base br col embed hr img input link meta param source track wbr p li dt dd option optgroup tr td th thead "
    b"tbody tfoot colgroup"
).split(b" ")
_WORD = np.zeros(256, np.bool_)
_WORD[[*b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz", *range(128, 256)]] = True
_MAX_LETTERS = 8  # a name of them is a number of 64 bits


def _by_remainder(names: list[bytes]) -> np.ndarray:
    """uint64 [size]: every name as a number, at its remainder by the size; the least size that keeps them apart."""
    numbers = [int.from_bytes(name) for name in names]
    size = next(size for size in range(len(names), 1 << 16) if len({one % size for one in numbers}) == len(names))
    table = np.zeros(size, np.uint64)
    table[[one % size for one in numbers]] = numbers
    return table


_FLAT_NAMES = _by_remainder(_FLAT)


def too_deep(body: bytes, decoded: Decoded, num_tags: int) -> bool:
    """Whether the page nests deeper than MAX_DEPTH, unclosed elements counted.

    `num_tags`, the bytes `<`, are of the page as it is stored: a bound that spares nearly all pages.
    """
    if len(body) <= 3 * MAX_DEPTH or num_tags <= MAX_DEPTH:
        return False  # a byte like `<` may be more than that in some charsets, never less
    # What is no UTF-8 in it is as little a letter as what would replace it.
    utf8 = body if decoded.charset == "utf-8" else decoded.text.encode("utf-8", "replace")
    return bool(depth(utf8) > MAX_DEPTH)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def depth(html: bytes) -> int:
    """How deep elements nest at most in UTF-8 markup; closing tags without an opening one close nothing."""
    level = deepest = at = 0
    end = len(html)
    while at < end:
        if html[at] != ord("<"):
            at += 1
            continue
        at += 1
        closing = at < end and html[at] == ord("/")
        name = at = at + closing
        letters = np.uint64(0)
        while at < end and ord("a") <= html[at] | 0x20 <= ord("z"):
            letters = letters << np.uint64(8) | np.uint64(html[at] | 0x20)
            at += 1
        if at == name or (at - name <= _MAX_LETTERS and not (at < end and _WORD[html[at]]) and _is_flat(letters)):
            continue
        level = max(level - 1, 0) if closing else level + 1
        deepest = max(deepest, level)
    return deepest


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _is_flat(letters: np.uint64) -> bool:
    return bool(_FLAT_NAMES[letters % np.uint64(len(_FLAT_NAMES))] == letters)
