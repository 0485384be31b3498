"""Plots as inline SVG: points, lines and dots by row, from plain numbers to markup; colours come from the page's CSS.

Every plot is drawn for a width of 440, near the size that a page or a telephone shows it at, so that its letters
stay as large as the text around it. Labels at the ends of lines are moved apart where they would meet.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mixer.report.markup import text

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 440.0, 264.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 12.0, 40.0
LABEL_GAP = 15.0  # between the baselines of two labels
PADDING = 0.06  # of the range, so that no point lies on the frame


@dataclass(frozen=True, slots=True)
class Line:
    """A named line; `css` is its class. One of a single point is drawn as that point."""

    name: str
    points: Points
    css: str
    dots: bool = False
    steps: bool = False  # a value stays until the next one


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of values and where it lies on the picture."""

    x: tuple[float, float]
    y: tuple[float, float]
    right: float = RIGHT
    left: float = LEFT
    height: float = HEIGHT

    def at(self, x: float, y: float) -> tuple[float, float]:
        across, up = (x - self.x[0]) / (self.x[1] - self.x[0]), (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + across * (WIDTH - self.left - self.right),
            self.height - BOTTOM - up * (self.height - TOP - BOTTOM),
        )


def scatter(groups: Mapping[str, Points], *, across: str, up: str) -> str:
    """Points of several groups, the last one strongest, with the line on which both values are equal."""
    every = [point for points in groups.values() for point in points]
    both = _range([value for point in every for value in point])
    frame = Frame(both, both)
    (x0, y0), (x1, y1) = frame.at(both[0], both[0]), frame.at(both[1], both[1])
    drawn = [f'<line class="equal" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>']
    for number, (name, points) in enumerate(groups.items(), 1):
        opacity = 0.15 + 0.75 * number / len(groups)
        for x, y in points:
            left, top = frame.at(x, y)
            said = text(f"{name}: predicted {x:.4f}, measured {y:.4f}")
            drawn.append(
                f'<circle class="point" cx="{left:.1f}" cy="{top:.1f}" r="4" fill-opacity="{opacity:.2f}">'
                f"<title>{said}</title></circle>"
            )
    return _picture(frame, drawn, across, up)


def lines(
    series: Sequence[Line],
    *,
    across: str,
    up: str,
    levels: Mapping[str, float] | None = None,
    whole: bool = False,
    at_least: tuple[float, float] | None = None,
) -> str:
    """Lines with their names at their ends; `levels`: dashed lines over the whole width, `whole`: x is a count.

    `at_least`: values that the vertical range must hold.
    """
    levels = levels or {}
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points] + [*levels.values(), *(at_least or ())]
    names = [line.name for line in series] + list(levels)
    right = 14 + 7.0 * max(map(len, names))
    low, high = min(xs), max(xs)
    # A lone round still has a place in the middle; many trials begin and end at the frame.
    margin = 0.5 if whole and high - low < 12 else 0.0
    frame = Frame((low - margin, high + margin) if high > low or margin else (low - 1, high + 1), _range(ys), right)
    drawn, ends = [], []
    for name, value in levels.items():
        (x0, y), (x1, _) = frame.at(frame.x[0], value), frame.at(frame.x[1], value)
        drawn.append(f'<line class="level" x1="{x0:.1f}" y1="{y:.1f}" x2="{x1:.1f}" y2="{y:.1f}"/>')
        ends.append((y, name, "level"))
    for line in series:
        places = [frame.at(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_stepped(places) if line.steps else places))
        drawn.append(f'<polyline class="line {line.css}" points="{path}"/>')
        if line.dots or len(places) == 1:
            drawn += [f'<circle class="dot {line.css}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
        ends.append((places[-1][1], line.name, line.css))
    edge = frame.at(frame.x[1], frame.y[0])[0]
    apart = _apart([y for y, _, _ in ends], frame)
    drawn += [
        f'<text class="end {css}" x="{edge + 7:.1f}" y="{y + 4:.1f}">{text(name)}</text>'
        for y, (_, name, css) in zip(apart, ends, strict=True)
    ]
    return _picture(frame, drawn, across, up, whole=whole)


def dots(rows: Mapping[str, Sequence[float]], *, across: str, strong: str) -> str:
    """A row for each name: a dot for each value and a bar at their mean; the row `strong` in the accent colour."""
    values = [value for row in rows.values() for value in row]
    height = TOP + BOTTOM + 34.0 * len(rows)
    left = 20 + 6.6 * max(map(len, rows))
    frame = Frame(_range(values), (0.0, float(len(rows))), RIGHT, left, height)
    drawn = []
    for number, (name, row) in enumerate(rows.items()):
        css = "found" if name == strong else "other"
        _, y = frame.at(frame.x[0], len(rows) - number - 0.5)
        drawn.append(f'<text class="row {css}" x="{left - 12:.1f}" y="{y + 4:.1f}">{text(name)}</text>')
        drawn.append(f'<line class="rule" x1="{left:.1f}" y1="{y:.1f}" x2="{WIDTH - RIGHT:.1f}" y2="{y:.1f}"/>')
        for value in row:
            x, _ = frame.at(value, 0)
            drawn.append(
                f'<circle class="dot {css}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{value:.4f}</title></circle>'
            )
        if row:
            x, _ = frame.at(math.fsum(row) / len(row), 0)
            drawn.append(f'<line class="mean {css}" x1="{x:.1f}" y1="{y - 10:.1f}" x2="{x:.1f}" y2="{y + 10:.1f}"/>')
    return _picture(frame, drawn, across, "", sides="x")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers within a range: multiples of 1, 2 or 5 times a power of ten, at most so many."""
    span = high - low
    step = 10.0 ** math.floor(math.log10(span / most))
    while math.floor(high / step) - math.ceil(low / step) + 1 > most:
        digit = round(step / 10 ** math.floor(math.log10(step) + 1e-9))
        step *= 2.5 if digit == 2 else 2
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


# ---------------------------------------------------------------------------------------------------------


def _picture(
    frame: Frame, drawn: Sequence[str], across: str, up: str, *, sides: str = "xy", whole: bool = False
) -> str:
    axes = []
    wide = ticks(*frame.x)
    for x, said in _labelled([tick for tick in wide if tick == round(tick)] if whole else wide):
        left, bottom = frame.at(x, frame.y[0])
        axes.append(f'<line class="grid" x1="{left:.1f}" y1="{TOP}" x2="{left:.1f}" y2="{bottom:.1f}"/>')
        axes.append(f'<text class="tick" x="{left:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{said}</text>')
    for y, said in _labelled(ticks(*frame.y)) if "y" in sides else ():
        left, top = frame.at(frame.x[0], y)
        axes.append(
            f'<line class="grid" x1="{left:.1f}" y1="{top:.1f}" x2="{WIDTH - frame.right:.1f}" y2="{top:.1f}"/>'
        )
        axes.append(f'<text class="tick" x="{left - 7:.1f}" y="{top + 4:.1f}" text-anchor="end">{said}</text>')
    middle = (frame.left + WIDTH - frame.right) / 2
    axes.append(
        f'<text class="axis" x="{middle:.1f}" y="{frame.height - 6:.1f}" text-anchor="middle">{text(across)}</text>'
    )
    name = text(f"{up} by {across}" if up else across)
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {frame.height:.0f}" role="img" aria-label="{name}">'
        + "".join([*axes, *drawn])
        + "</svg>"
    )


def _stepped(places: Points) -> list[tuple[float, float]]:
    """The same places with a corner before each rise or fall."""
    corners = [((x, before), (x, y)) for (_, before), (x, y) in pairwise(places)]
    return [places[0], *(place for pair in corners for place in pair)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = PADDING * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _apart(heights: Sequence[float], frame: Frame) -> list[float]:
    """The same heights, moved as little as keeps labels from meeting: down in order, then up from the bottom."""
    order = sorted(range(len(heights)), key=lambda number: heights[number])
    placed = list(heights)
    for before, number in pairwise(order):
        placed[number] = max(placed[number], placed[before] + LABEL_GAP)
    limit = frame.height - BOTTOM
    for number in reversed(order):
        placed[number] = min(placed[number], limit)
        limit = placed[number] - LABEL_GAP
    return placed


def _labelled(values: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks with as many decimals as the finest of them needs."""
    decimals = max((len(f"{value:.10f}".rstrip("0").partition(".")[2]) for value in values), default=0)
    return [(value, f"{value:.{decimals}f}".replace("-", "−")) for value in values]
