"""How many characters a chunk loses to a mark at its start, at its end or inside, compiled: the rules of `chunks`.

A chunk is `codes`, its code points, and `bits`, what code_point_kinds says of them; -1 leaves it to Python.
"""

import numba
import numpy as np

from pipelines.text.code_point_kinds import (
    DIGIT,
    EDGE,
    INNER,
    IS_LETTER,
    IS_LOWER,
    IS_UPPER,
    MONEY,
    QUOTE,
    START,
    STOPPED,
    SYMBOL,
    UNSPACED,
)

_DOT, _DOTS, _PLUS, _COMMA, _DASH, _LONG_DASH = 0x2E, 0x2026, 0x2B, 0x2C, 0x2D, 0x2014
_STAR, _CARET, _DOLLAR, _DEGREE, _QUOTE, _CURLY_QUOTE = 0x2A, 0x5E, 0x24, 0xB0, 0x27, 0x2019
_SMALL_S, _S, _U, _C, _A = 0x73, 0x53, 0x55, 0x43, 0x41
_TEMPERATURES = (0x46, 0x66, 0x43, 0x63, 0x4B, 0x6B)


@numba.njit(cache=True)
def start_width(codes, bits, start, end):  # type: ignore[no-untyped-def]
    mark, after = codes[start], start + 1
    if bits[start] & START:
        return 1
    if mark == _PLUS:
        return int(after == end or not bits[after] & DIGIT)
    if mark == _DOT:
        width = _num_dots(codes, start, end)
        return width if width > 1 else 0
    if mark in (_U, _C, _A) and after < end and (codes[after] == _DOLLAR or codes[after] == _S):
        return 0 if codes[after] == _S and (after + 1 == end or codes[after + 1] != _DOLLAR) else -1
    return 0


@numba.njit(cache=True)
def end_width(codes, bits, start, end):  # type: ignore[no-untyped-def]
    if start == end:
        return 0
    last = end - 1
    mark, previous = codes[last], codes[last - 1] if last > start else 0
    before = bits[last - 1] if last > start else np.uint32(0)
    if mark in (_DOT, _DOTS):
        return _dots_width(codes, bits, start, end, previous, before)
    if bits[last] & (EDGE | SYMBOL):
        return 1
    if mark in (_SMALL_S, _S) and previous in (_QUOTE, _CURLY_QUOTE):
        return 2
    if mark == _PLUS:
        return int(before & DIGIT != 0)
    if bits[last] & MONEY:
        return -1 if previous in (_S, _C, _A) else int(before & DIGIT != 0)
    return 0


@numba.njit(cache=True)
def _dots_width(codes, bits, start, end, previous, before):  # type: ignore[no-untyped-def]
    if codes[end - 1] == _DOTS:
        return 2 if previous == _DOTS else 1
    first = end - 1
    while first > start and codes[first - 1] == _DOT:
        first -= 1
    if end - first > 1:
        return end - first
    if before & (STOPPED | UNSPACED) or _is_small(before):
        return 1
    if end - 3 < start:
        return 0
    if _is_capital(before) and _is_capital(bits[end - 3]):
        return 1
    return int(codes[end - 3] == _DEGREE and previous in _TEMPERATURES)


@numba.njit(cache=True)
def _num_dots(codes, place, end):  # type: ignore[no-untyped-def]
    last = place
    while last < end and codes[last] == _DOT:
        last += 1
    return last - place


@numba.njit(cache=True, inline="always")
def _is_small(bits):  # type: ignore[no-untyped-def]
    return bits & IS_LETTER != 0 and bits & IS_UPPER == 0


@numba.njit(cache=True, inline="always")
def _is_capital(bits):  # type: ignore[no-untyped-def]
    return bits & IS_LETTER != 0 and bits & IS_LOWER == 0


@numba.njit(cache=True)
def inner_width(codes, bits, start, place, end):  # type: ignore[no-untyped-def]
    mark = codes[place]
    if mark == _DOT and place + 1 < end and codes[place + 1] == _DOT:
        return _num_dots(codes, place, end)
    if bits[place] & SYMBOL or mark == _DOTS:
        return 1
    if place == start or place + 1 == end or not bits[place] & INNER:
        return 0
    before, after = bits[place - 1], bits[place + 1]
    if mark == _DOT:
        return int((before & QUOTE != 0 or _is_small(before)) and (after & QUOTE != 0 or _is_capital(after)))
    if mark == _COMMA:
        return int(before & IS_LETTER != 0 and after & IS_LETTER != 0)
    raised = mark in (_PLUS, _STAR, _CARET)
    if (raised or mark == _DASH) and before & DIGIT and (after & DIGIT or codes[place + 1] == _DASH):
        return 1
    if raised or not before & (DIGIT | IS_LETTER):
        return 0
    width, longest = 1, 3 if mark == _DASH else 2 if mark == _LONG_DASH else 1
    while width < longest and place + width < end and codes[place + width] == mark:
        width += 1
    return width if place + width < end and bits[place + width] & IS_LETTER else 0
