"""Two rounds of edits as one: those of a text, and those of what they leave."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.edits.spans import Rows, Span, lengths, one_array, spans_array


def composed(first: Rows, second: Rows) -> pa.Array:
    """The edits that do at once what `first` does to a text and then `second` to what is left.

    Both of type EDITS, a row for each text; `second` counts in bytes of the text after `first`, the result in
    those of the text itself. Where a span of `second` covers or touches the inside of what `first` put or cut,
    one span stands for both, with the reason of `second`.
    """
    if len(first) != len(second):
        raise ValueError(f"edits of {len(first)} texts, then of {len(second)}")
    first, second = one_array(first), one_array(second)
    if not len(second.flatten()) or not len(first.flatten()):
        return second if len(second.flatten()) else first
    both = (lengths(first) > 0) & (lengths(second) > 0)
    joined = [_composed(earlier, later) for earlier, later in zip(_rows(first, both), _rows(second, both), strict=True)]
    count = len(first)
    source = np.where(lengths(second) > 0, count, 0) + np.arange(count)
    source[both] = 2 * count + np.arange(len(joined))
    return pa.concat_arrays([first, second, spans_array(joined)]).take(pa.array(source))


def _composed(first: list[Span], second: list[Span]) -> list[Span]:
    """`composed` for one text. Spans lie in the text between: those of `first` as what they put there."""
    shift, shifts, placed = 0, [0], list[tuple[int, int, bool, Span]]()
    for span in first:
        size = len(span.replacement.encode())
        placed.append((span.start + shift, span.start + shift + size, False, span))
        shift += size - (span.end - span.start)
        shifts.append(shift)
    placed += [(span.start, span.end, True, span) for span in second]
    placed.sort(key=lambda one: one[:3])
    result, done, at = list[Span](), 0, 0
    while at < len(placed):
        group, stop = [placed[at]], placed[at][1]
        at += 1
        while at < len(placed) and placed[at][0] < stop:
            group.append(placed[at])
            stop = max(stop, placed[at][1])
            at += 1
        after = done + sum(not is_later for *_, is_later, _ in group)
        result.append(_joined(group, stop, shifts[done], shifts[after]))
        done = after
    return result


def _joined(group: list[tuple[int, int, bool, Span]], stop: int, before: int, after: int) -> Span:
    """One span for a group that overlaps; its places in the text between, less `before` or `after`, are the text's."""
    start, _, is_later, span = group[0]
    if len(group) == 1:
        return span._replace(start=start - before, end=stop - after) if is_later else span
    put = bytearray(stop - start)  # every byte is of a replacement or under a span of `second`
    for begin, end, later, one in group:
        if not later:
            put[begin - start : end - start] = one.replacement.encode()
    for begin, end, later, one in reversed(group):
        if later:
            put[begin - start : end - start] = one.replacement.encode()
    reason = next(one.reason for _, _, later, one in group if later)
    return Span(start - before, stop - after, put.decode(), reason)


def _rows(edits: pa.Array, chosen: npt.NDArray[np.bool_]) -> Iterator[list[Span]]:
    """The spans of the chosen rows."""
    for row in edits.filter(pa.array(chosen)).to_pylist():
        yield [Span(**span) for span in row]
