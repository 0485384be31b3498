"""Text without what no text should hold: control characters, trailing spaces, rows of empty lines, lone surrogates.

One compiled pass over the text's UTF-8 bytes. Only a text with control characters or unusual line ends in it is rid
of them by patterns first. The white space taken away is that of `str.rstrip` and `str.strip`.
"""

import re

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

BLOCK_BYTES = 64
STEP_BYTES = 16  # until the next block is tried
ROOM_BYTES = 1 << 20  # kept from call to call: fresh memory costs more than the pass over it

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]+")
_LINE_ENDS = re.compile(r"\r\n?|[\x0c\x85\u2028\u2029]")
_PLAIN, _SPACE, _LINE_END, _LEADING, _ODD = range(5)
_KINDS = np.zeros(256, np.uint8)
_KINDS[[9, 32]] = _SPACE
_KINDS[10] = _LINE_END
_KINDS[[0xC2, 0xE1, 0xE2, 0xE3, 0xEF]] = _LEADING  # of the characters beyond ASCII that are spaces or odd
_KINDS[[*range(9), *range(11, 32), 127]] = _ODD
_IS_PLAIN = _KINDS == _PLAIN
_ROOM = np.empty(ROOM_BYTES, np.uint8)


def cleaned(text: str) -> bytes:
    """UTF-8 of the text without those; lines end in \\n, of which there are at most two in a row."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # lone surrogates
        encoded = _without_odd(text)
    clean = _spaced(encoded)
    return _spaced(_without_odd(text)) or b"" if clean is None else clean


def cleaned_texts(data: Bytes, starts: I64, stops: I64) -> tuple[bytearray, I64]:
    """`cleaned` of the texts `data[starts[t] : stops[t]]`, one after the other, and where each ends."""
    written, ends = bytearray(), np.empty(len(starts), np.int64)
    room = np.empty(int((stops - starts).sum()), np.uint8)
    done = 0
    while done < len(starts):
        first = done
        done = _write_each(data, starts, stops, done, room, ends)
        ends[first:done] += len(written)
        if done > first:
            written += room[: ends[done - 1] - len(written)].data
        if done < len(starts):  # something in it is odd
            written += cleaned(data[starts[done] : stops[done]].tobytes().decode())
            ends[done] = len(written)
            done += 1
    return written, ends


def _spaced(encoded: bytes) -> bytes | None:
    """The cleaned bytes; None where there are odd characters in them."""
    room = _ROOM if len(encoded) <= ROOM_BYTES else np.empty(len(encoded), np.uint8)
    num_bytes = _write_clean(np.frombuffer(encoded, np.uint8), room)
    if num_bytes < 0:
        return None
    return encoded if num_bytes == len(encoded) else room[:num_bytes].tobytes()


def _without_odd(text: str) -> bytes:
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # true pairs join
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text)).encode()


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _write_each(data: Bytes, starts: I64, stops: I64, text: int, room: Bytes, ends: I64) -> int:
    """Write texts from `text` on, and where each ends in the room; the first that was not written, for what is odd."""
    at = 0
    while text < len(starts):
        num_bytes = _write_clean(data[starts[text] : stops[text]], room[at:])
        if num_bytes < 0:
            return text
        at += num_bytes
        ends[text] = at
        text += 1
    return text


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _write_clean(data: Bytes, room: Bytes) -> int:
    """How many bytes were written to the room, which is as long as the data; -1 where something in them is odd."""
    at = written = num_line_ends = spaces_from = block_at = 0
    while at < len(data):
        kind, width = _kind_at(data, at)
        if kind == _PLAIN:
            if written:
                for _ in range(min(num_line_ends, 2)):
                    room[written] = 10
                    written += 1
                for place in range(spaces_from, at):
                    room[written] = data[place]
                    written += 1
            num_line_ends = 0
            for place in range(at, at + width):
                room[written] = data[place]
                written += 1
            at += width
            # A space before a plain byte is one too, found without a branch that words of all lengths would mislead.
            while at + 1 < len(data):
                if at >= block_at:
                    if at + BLOCK_BYTES + 2 <= len(data) and _is_calm(data[at : at + BLOCK_BYTES + 2]):
                        room[written : written + BLOCK_BYTES] = data[at : at + BLOCK_BYTES]
                        written += BLOCK_BYTES
                        at += BLOCK_BYTES
                        continue
                    block_at = at + STEP_BYTES
                byte = data[at]
                if not (_IS_PLAIN[byte] | ((byte == 32) & _IS_PLAIN[data[at + 1]])):
                    break
                room[written] = byte
                written += 1
                at += 1
            spaces_from = at
        elif kind == _SPACE:
            at += width
        elif kind == _LINE_END:
            num_line_ends += 1
            at += 1
            spaces_from = at
        else:
            return -1
    return written


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _is_calm(block: Bytes) -> bool:
    """Whether all but the last two bytes may be copied as they are; the last of them begins nothing that may go.

    What `_write_clean` and `_kind_at` say, without a branch.
    """
    last = block[BLOCK_BYTES - 1]
    other = (last == 32) | (last == 10)
    for at in range(BLOCK_BYTES):
        first, second, third = block[at], block[at + 1], block[at + 2]
        other |= (second == 10) & ((first == 32) | ((first == 10) & (third == 10)))
        other |= ((first < 32) & (first != 10)) | (first == 127) | ((first == 0xC2) & (second <= 0xA0))
        general = (second == 0x80) & ((third <= 0x8A) | (third == 0xAF) | (third == 0xA8) | (third == 0xA9))
        other |= (first == 0xE2) & (general | ((second == 0x81) & (third == 0x9F)))
        other |= (first == 0xE1) & (second == 0x9A) & (third == 0x80)
        other |= (first == 0xE3) & (second == 0x80) & (third == 0x80)
        other |= (first == 0xEF) & (((second == 0xBB) & (third == 0xBF)) | ((second == 0xBF) & (third >= 0xBE)))
    return not other


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _kind_at(data: Bytes, at: int) -> tuple[int, int]:
    """(kind, bytes) of the character that begins there."""
    first = data[at]
    kind = _KINDS[first]
    if kind != _LEADING:
        return kind, 1
    second = data[at + 1]
    if first == 0xC2:
        return (_SPACE if second == 0xA0 else _ODD if second < 0xA0 else _PLAIN), 2
    third = data[at + 2]
    if first == 0xE2 and second == 0x80:
        space = third <= 0x8A or third == 0xAF
        return (_SPACE if space else _ODD if third == 0xA8 or third == 0xA9 else _PLAIN), 3
    if first == 0xEF:
        odd = (second == 0xBB and third == 0xBF) or (second == 0xBF and third >= 0xBE)
        return (_ODD if odd else _PLAIN), 3
    space = (
        (first == 0xE1 and second == 0x9A and third == 0x80)
        or (first == 0xE2 and second == 0x81 and third == 0x9F)
        or (first == 0xE3 and second == 0x80 and third == 0x80)
    )
    return (_SPACE if space else _PLAIN), 3
