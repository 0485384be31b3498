"""Our verdict on the texts that datatrove judged, each rule alone, and why the two differ.

`ours_parity_datatrove.py texts FOLDER` writes the adversarial texts beside mixed.parquet, each set as a Parquet file
of `text` and `only` (the one rule to ask, "" for all). `ours_parity_datatrove.py compare TEXTS.parquet PEER.parquet
...` prints, by rule, how many texts both drop, and how many one side alone, by what the difference comes from.

Every third adversarial text is for all rules, the others are for the one that they were made for: the peer is slow.
"""

import hashlib
import json
import sys
import time
from collections import Counter
from itertools import chain
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from adversarial import texts as made

from pipelines.edits import c4, spans
from pipelines.quality import rules
from pipelines.quality import signals as quality
from pipelines.settings import Edits, Quality
from pipelines.text.chunk_marks import UNSPACED
from pipelines.text.chunks import cut_as_spacy
from pipelines.text.vocabulary import ChunkWords

GROUPS = ("gopher-repetition", "gopher-quality", "c4", "c4-paragraphs", "fineweb")
LONGEST = "gopher_long_doc"
SYMBOLS = "other symbols: Unicode's categories here, a list of characters there"
UNSPACED_LINE = "a script without spaces: its characters are words to the line edits here"
# Where both met the same words: what else the rule reads is counted in another way.
OTHERWISE = {
    "duplicated": "datatrove joins the words of an n-gram, so that `ab c` is `a bc`",
    **dict.fromkeys(("gopher_short_doc", "gopher_below_avg_threshold", "gopher_above_avg_threshold"), SYMBOLS),
}


def write(folder: Path) -> None:
    mixed = pq.read_table(folder / "mixed.parquet")
    _write(folder / "real.parquet", [("", text) for text in mixed["text"].to_pylist()])
    found = list(made())
    rows = [(reason, text) for reason, text in found if reason != LONGEST]
    asked = [("" if place % 3 == 0 else reason, text) for place, (reason, text) in enumerate(rows)]
    _write(folder / "adversarial.parquet", asked)
    _write(folder / "longest.parquet", [one for one in found if one[0] == LONGEST])


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    texts = pa.array([text for _, text in rows], pa.large_string())
    pq.write_table(pa.table({"text": texts, "only": [only for only, _ in rows]}), path)


def compare(path: Path, answers: list[Path]) -> dict[str, dict[str, object]]:
    """All scripts are cut as spaCy cuts them; FineWeb's rules read the peer's own edited text, C4's read ours."""
    quality._WORDS = ChunkWords(quality._VOCABULARY, cut_as_spacy)
    texts = pq.read_table(path)["text"].combine_chunks()
    peer = pl.concat([pl.read_parquet(answer) for answer in answers]).sort("row")
    edited = spans.edited(texts, c4.line_edits(texts, Edits()))
    tables = {"": _signals(texts, edited), "fineweb": _signals(texts, peer["edited"].fill_null("").to_arrow())}
    sources = Sources(texts.to_pylist(), peer)
    told: dict[str, dict[str, object]] = {"c4_lines": _lines(texts.to_pylist(), edited.to_pylist(), peer)}
    for group in GROUPS:
        settings = Quality(preset=f"datatrove-{group}", languages=(), without=("language_score",))
        table = tables.get(group, tables[""])
        for reason, broken in rules.judgements(settings):
            if reason in peer.columns:
                told[reason] = _held(reason, table.select(b=broken)["b"], peer[reason], sources)
    return told


def _signals(texts: pa.Array, edited: pa.Array) -> pl.DataFrame:
    languages = ["en"] * len(texts)
    found = pl.from_arrow(quality.signals(texts, languages, edited).append_column("language", pa.array(languages)))
    assert isinstance(found, pl.DataFrame)
    return found


def _lines(texts: list[str], edited: list[str], peer: pl.DataFrame) -> dict[str, object]:
    """How many texts have the same lines after C4's line rules, white space at their ends aside."""
    same, why = 0, Counter[str]()
    for text, ours, other in zip(texts, edited, peer["edited"].to_list(), strict=True):
        if other is not None:
            equal = _stripped(ours) == _stripped(other)
            same += equal
            if not equal:
                why[UNSPACED_LINE if UNSPACED.search(text) else "the rules themselves"] += 1
    return {"asked": same + why.total(), "both": same, "ours": dict(why), "peer": {}}


def _held(reason: str, ours: pl.Series, peer: pl.Series, sources: "Sources") -> dict[str, object]:
    both, why = 0, {"ours": Counter[str](), "peer": Counter[str]()}
    for row, (one, other) in enumerate(zip(ours.to_list(), peer.to_list(), strict=True)):
        if other is None or not (one or other):
            continue
        both += one and other
        if one != other:
            why["ours" if one else "peer"][sources.of(row, reason)] += 1
    return {"asked": len(peer) - peer.null_count(), "both": both, **{side: dict(why[side]) for side in why}}


class Sources:
    """What a difference comes from, by what both sides met."""

    def __init__(self, texts: list[str], peer: pl.DataFrame) -> None:
        self.texts, self.peer = texts, peer

    def of(self, row: int, reason: str) -> str:
        of_c4 = reason in ("lorem_ipsum", "curly_bracket", "too_few_sentences")
        if of_c4 and UNSPACED.search(self.texts[row]):
            return UNSPACED_LINE
        if _digest(self.texts[row]) != self.peer["words"][row]:
            return "other words than spaCy's"
        return next((told for start, told in OTHERWISE.items() if reason.startswith(start)), "the rule itself")


def _stripped(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _digest(text: str) -> str:
    words = chain.from_iterable(map(cut_as_spacy, text.split()))
    return hashlib.sha1("\x1f".join(words).encode()).hexdigest()


def main() -> None:
    if sys.argv[1] == "texts":
        write(Path(sys.argv[2]))
        print("{}")
        return
    started = time.perf_counter()
    told = compare(Path(sys.argv[2]), [Path(answer) for answer in sys.argv[3:]])
    print(json.dumps({"seconds": time.perf_counter() - started, "rules": told}))


if __name__ == "__main__":
    main()
