"""The editors of the `edits` stage, one after the other; each sees what the ones before leave.

    mojibake       pipelines/edits/mojibake.py   wrong characters first, since the others look at characters
    C4's lines     pipelines/edits/c4.py
    DCLM's lines   pipelines/edits/dclm_lines.py
    symbol lines   pipelines/edits/symbols.py    lines that citations were cut from may be such lines
    PII            pipelines/edits/pii.py        last, so that no replacement is judged as text

The spans of all are of the original text, sorted and without overlap (pipelines/edits/composing.py).
"""

from collections import Counter
from collections.abc import Callable, Sequence

import pyarrow as pa

from pipelines.edits import c4, dclm_lines, mojibake, pii, symbols
from pipelines.edits.composing import composed
from pipelines.edits.spans import edited, no_edits, reasons
from pipelines.settings import Edits

Editor = Callable[[pa.Array], pa.Array]  # texts -> their spans, of type EDITS


def edits(texts: pa.Array | pa.ChunkedArray | Sequence[str], settings: Edits) -> tuple[pa.Array, Counter[str]]:
    """The edits of each text, of type EDITS, and how many spans each reason has.

    Of two editors that change the same place, the later one's reason stands. Without editors, nothing goes.
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    elif not isinstance(texts, pa.Array):
        texts = pa.array(texts, pa.large_string())
    found = no_edits(len(texts))
    for editor in _editors(settings):
        found = composed(found, editor(edited(texts, found)))
    return found, reasons(found)


def _editors(settings: Edits) -> list[Editor]:
    chosen: list[Editor] = []
    if settings.mojibake:
        chosen.append(mojibake.repairs)
    if settings.c4_lines:
        chosen.append(lambda texts: c4.line_edits(texts, settings))
    if settings.dclm_lines:
        chosen.append(dclm_lines.line_edits)
    if settings.symbol_lines:
        chosen.append(symbols.line_edits)
    if settings.emails or settings.ip_addresses or settings.phone_numbers:
        chosen.append(lambda texts: pii.replacements(texts, settings))
    return chosen
