"""Pieces of the page: escaped text, links that cannot run anything, numbers, tables, sections."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from urllib.parse import urlsplit

NARROW = "\u202f"  # a space at which no line breaks
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def text(value: Any) -> str:
    """Any value as escaped text without control characters."""
    return escape("".join(c if c.isprintable() or c == NARROW else " " for c in str(value)), quote=True)


def link(url: str) -> str:
    """A link where the address is plain http or https, else the address as text."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url
    except ValueError:  # brackets that hold no address
        plain = False
    if not plain:
        return text(url)
    return f'<a href="{text(url)}" rel="noopener noreferrer nofollow">{text(url)}</a>'


def section(title: str, *body: str, note: str = "") -> str:
    """A part of the page; nothing without a body. `title` and `note` are text, `body` is markup."""
    inside = "".join(body)
    said = f'<p class="note">{text(note)}</p>' if note else ""
    return f"<section><h2>{text(title)}</h2>{said}{inside}</section>" if inside else ""


def figure(title: str, caption: str, drawn: str) -> str:
    return f"<figure><figcaption><b>{text(title)}</b>{text(caption)}</figcaption>{drawn}</figure>"


def table(head: Sequence[tuple[str, str]], rows: Iterable[tuple[str, Sequence[str]]], css: str = "") -> str:
    """A table that scrolls by itself: (heading, class) of the columns, then (class, cells of markup) of each row."""
    heads = "".join(f'<th class="{kind}">{text(name)}</th>' for name, kind in head)
    lines = "".join(
        f'<tr class="{kind}">'
        + "".join(f'<td class="{column}">{cell}</td>' for (_, column), cell in zip(head, cells, strict=True))
        + "</tr>"
        for kind, cells in rows
    )
    return (
        f'<div class="scroll"><table class="{css}"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def loss(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.4f}"


def signed(value: float | None, digits: int = 4) -> str:
    """With its sign, a minus as wide as a plus."""
    return "–" if value is None or not math.isfinite(value) else f"{value:+.{digits}f}".replace("-", "−")


def share(weight: float) -> str:
    return f"{100 * weight:.1f}{NARROW}%"


def number(value: float) -> str:
    """`1,234`; from a hundred thousand on with three digits and a prefix, `1.23 M`."""
    if abs(value) < 1e5:
        return f"{value:,.0f}"
    size, unit = next((size, unit) for size, unit in UNITS if abs(value) >= size)
    return f"{value / size:.3g}{NARROW}{unit}"


def flops(value: float) -> str:
    """`9.5e12 FLOPs`, since their prefixes are read by few."""
    return f"{value:.2g} FLOPs".replace("e+", "e")


def size(value: float) -> str:
    """`413 MB`."""
    return f"{number(value)}B" if value >= 1e5 else f"{value / 1e3:.0f}{NARROW}kB"


def seconds(value: float) -> str:
    """`41 s`, `3 min 35 s`, `5 h 20 min`."""
    whole = round(value)
    if whole < 90:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, rest = divmod(round(whole / 60), 60)
    return f"{hours} h {rest} min"
