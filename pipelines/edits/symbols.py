"""Lines of symbols alone, as separators, empty table rows and the frames of boxes leave them.

A line goes if it has a character that is no white space, and none that is a letter, number or mark of any script
or a pictograph; arrows, brackets and box drawings are symbols, stars, notes and emoji pictographs. It is
datatrove's SymbolLinesFormatter but for the characters that count: there a list of punctuation marks, with hardly a
box drawing and no bullet, and of white space the plain space alone, so that a tab or a no-break space keeps a line.
Off by default: in code, a closing brace is such a line.
"""

import numba
import numpy as np
import pyarrow as pa

from pipelines.edits.characters import BREAK, CONTENT, SPACE, classes, text_bytes
from pipelines.edits.spans import cuts_array
from pipelines.text.characters import decoded

SYMBOL_LINE = "symbol_line"


def line_edits(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The edits that cut lines of symbols with their line ends, of type EDITS.

    Where only such lines follow a text's last other line, its line end goes too.
    """
    data, bounds = text_bytes(texts)
    offsets, starts, ends = _symbol_lines(data, bounds, classes())
    return cuts_array(offsets, starts, ends, np.zeros(len(starts), np.uint8), [SYMBOL_LINE])


@numba.njit(cache=True)
def _symbol_lines(data, bounds, classes):  # type: ignore[no-untyped-def]
    offsets = np.zeros(len(bounds), np.int64)
    room = _most_lines(data, bounds)
    starts, ends = np.empty(room, np.int32), np.empty(room, np.int32)
    count = 0
    for text in range(len(bounds) - 1):
        begin, stop = bounds[text], bounds[text + 1]
        place, kept_end, num_before = begin, np.int64(-1), count
        while place < stop:
            line, symbols, content, line_end = place, False, False, stop
            while place < stop:
                code, width = decoded(data, place)
                bits = classes[code]
                place += width
                if bits & BREAK:
                    line_end = place - width
                    if code == 0x0D and place < stop and data[place] == 0x0A:
                        place += 1
                    break
                if bits & CONTENT:
                    content = True
                elif not bits & SPACE:
                    symbols = True
            if symbols and not content:
                starts[count], ends[count] = line - begin, place - begin
                count += 1
            else:
                kept_end, num_before = line_end, count
        if kept_end >= 0 and num_before < count:
            starts[num_before] = kept_end - begin  # the line end of the last kept line goes with those after it
        offsets[text + 1] = count
    return offsets, starts[:count].copy(), ends[:count].copy()


@numba.njit(cache=True)
def _most_lines(data, bounds):  # type: ignore[no-untyped-def]
    """At least as many as there are: every byte counts that a line end may begin with."""
    most = len(bounds)
    for place in range(bounds[0], bounds[-1]):
        byte = data[place]
        most += (0x0A <= byte <= 0x0D) or (0x1C <= byte <= 0x1E) or byte == 0xC2 or byte == 0xE2
    return most
