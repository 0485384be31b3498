"""JSON strings, compiled: checked, their escapes undone, written as UTF-8."""

import numba
import numpy as np

BLOCK_BYTES, WORD_BYTES = 32, 8  # copied at once
BLOCK, WORD = np.uint64(BLOCK_BYTES), np.uint64(WORD_BYTES)
_EACH = np.uint64(0x0101010101010101)


@numba.njit(cache=True)
def string(data, at, values, written):  # type: ignore[no-untyped-def]
    """(the place after the closing quote, where what was written ends); the string begins after the opening one."""
    # Places are unsigned here: a signed index is tested for being negative at every byte.
    here, out, end, one = np.uint64(at), np.uint64(written), np.uint64(len(data)), np.uint64(1)
    block_at = word_at = here
    while here < end:
        if here >= block_at:
            if here + BLOCK <= end and _copied(data, here, values, out):
                here += BLOCK
                out += BLOCK
                continue
            block_at = here + BLOCK
        if here >= word_at:
            if here + WORD <= end and _word_copied(data, here, values, out):
                here += WORD
                out += WORD
                continue
            word_at = here + WORD
        byte = data[here]
        if byte == 34:
            return np.int64(here + one), np.int64(out)
        if byte == 92:
            at, written = _escaped(data, np.int64(here + one), values, np.int64(out))
            if at < 0:
                return -1, written
            here, out = np.uint64(at), np.uint64(written)
            block_at = word_at = here
        elif byte < 32:
            return -1, np.int64(out)
        elif byte < 128:
            values[out] = byte
            here += one
            out += one
        else:
            width = _width(data, np.int64(here))
            if width == 0:
                return -1, np.int64(out)
            for _ in range(width):
                values[out] = data[here]
                here += one
                out += one
    return -1, np.int64(out)


@numba.njit(cache=True, inline="always")
def _copied(data, at, values, written):  # type: ignore[no-untyped-def]
    """Copy a block; whether it is ASCII without an escape, a quote or a control character. Without a branch."""
    other = False
    for place in range(BLOCK_BYTES):
        byte = data[at + np.uint64(place)]
        values[written + np.uint64(place)] = byte
        other |= (byte < 32) | (byte > 127) | (byte == 34) | (byte == 92)
    return not other


@numba.njit(cache=True, inline="always")
def _word_copied(data, at, values, written):  # type: ignore[no-untyped-def]
    """The same of eight bytes as one number: the top bit of a byte is set, or is when more than it is taken from it."""
    word = np.uint64(0)
    for place in range(WORD_BYTES):
        byte = data[at + np.uint64(place)]
        values[written + np.uint64(place)] = byte
        word |= np.uint64(byte) << np.uint64(8 * place)
    below = (word - _EACH * np.uint64(32)) | ((word ^ _EACH * np.uint64(34)) - _EACH)
    below |= (word ^ _EACH * np.uint64(92)) - _EACH
    return (word | below) & _EACH * np.uint64(128) == 0


_ESCAPES = np.zeros(256, np.uint8)
_ESCAPES[[*b'"\\/bfnrt']] = [*b'"\\/\b\f\n\r\t']


@numba.njit(cache=True)
def _escaped(data, at, values, written):  # type: ignore[no-untyped-def]
    """What follows a backslash; surrogates come in pairs."""
    if at >= len(data):
        return -1, written
    if data[at] != 117:
        values[written] = _ESCAPES[data[at]]
        return (at + 1 if values[written] else -1), written + 1
    code = _hex(data, at + 1)
    at += 5
    if code < 0 or 0xDC00 <= code < 0xE000:
        return -1, written
    if 0xD800 <= code < 0xDC00:
        if at + 1 >= len(data) or data[at] != 92 or data[at + 1] != 117:
            return -1, written
        low = _hex(data, at + 2)
        if not 0xDC00 <= low < 0xE000:
            return -1, written
        at += 6
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
    return at, _utf8(code, values, written)


@numba.njit(cache=True)
def _hex(data, at):  # type: ignore[no-untyped-def]
    """The number of four hex digits."""
    if at + 4 > len(data):
        return -1
    code = 0
    for place in range(at, at + 4):
        byte = data[place]
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= byte | 32 <= 102:
            digit = (byte | 32) - 87
        else:
            return -1
        code = code * 16 + digit
    return code


@numba.njit(cache=True)
def _utf8(code, values, written):  # type: ignore[no-untyped-def]
    """Write a code point; where it ends."""
    if code < 0x80:
        values[written] = code
        return written + 1
    if code < 0x800:
        values[written] = 0xC0 | code >> 6
        values[written + 1] = 0x80 | code & 63
        return written + 2
    if code < 0x10000:
        values[written] = 0xE0 | code >> 12
        values[written + 1] = 0x80 | code >> 6 & 63
        values[written + 2] = 0x80 | code & 63
        return written + 3
    values[written] = 0xF0 | code >> 18
    values[written + 1] = 0x80 | code >> 12 & 63
    values[written + 2] = 0x80 | code >> 6 & 63
    values[written + 3] = 0x80 | code & 63
    return written + 4


@numba.njit(cache=True)
def _width(data, at):  # type: ignore[no-untyped-def]
    """Bytes of the character beyond ASCII that begins there; 0 where none does (Unicode 16, table 3-7)."""
    first = data[at]
    if first < 0xC2 or first > 0xF4:
        return 0
    width = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if at + width > len(data):
        return 0
    low = 0xA0 if first == 0xE0 else 0x90 if first == 0xF0 else 0x80
    high = 0x9F if first == 0xED else 0x8F if first == 0xF4 else 0xBF
    if not low <= data[at + 1] <= high:
        return 0
    for place in range(at + 2, at + width):
        if not 0x80 <= data[place] <= 0xBF:
            return 0
    return width
