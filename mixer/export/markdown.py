"""Text and numbers as the card's Markdown holds them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MISSING = "*Missing: {}.*"

Values = Mapping[str, Any]


def plain(text: Any) -> str:
    """One line of text that Markdown and HTML take literally, also at the start of a line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_{}\[\]#|~$@]|:(?=//)|(?<=www)\.)", r"\\\1", line, flags=re.IGNORECASE)
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", line)


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]


def counted(counts: Mapping[str, int] | None) -> str:
    ordered = sorted((counts or {}).items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{plain(reason)} {whole(count)}" for reason, count in ordered)


def whole(number: int) -> str:
    return f"{number:,}"


def numeral(number: float) -> str:
    return f"{number:g}"


def percent(weight: float) -> str:
    return f"{100 * weight:.2f} %"


def loss_of(loss: float | None) -> str:
    return MISSING.format("not measured") if loss is None else f"{loss:.4f}"
