"""Every rule alone against datatrove's own filters, on texts at each rule's limit.

Runs where SIRDAR_PEERS names a folder that holds `datatrove`, an environment with datatrove 0.10.1; the whole
comparison is infra/benchmarks/corpus/bench_parity_datatrove.py.
"""

import os
import subprocess
from itertools import groupby
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.edits import c4, spans
from pipelines.quality import rules
from pipelines.quality.signals import signals
from pipelines.settings import Edits, Quality
from pipelines.text.chunk_marks import UNSPACED

SCRIPTS = Path(__file__).parents[1] / "infra" / "benchmarks" / "corpus"
GROUPS = ("gopher-repetition", "gopher-quality", "c4", "c4-paragraphs", "fineweb")
PER_RULE = 12
DATATROVE = Path(os.environ.get("SIRDAR_PEERS", "nowhere")) / "datatrove" / "bin" / "python"


@pytest.mark.peer
@pytest.mark.skipif(not DATATROVE.exists(), reason="SIRDAR_PEERS names no environment with datatrove")
def test_the_same_texts_break_each_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    from adversarial import texts as made  # type: ignore[import-not-found]

    by_reason = groupby(made(), key=lambda one: one[0])
    rows = [row for reason, found in by_reason for row in list(found)[: PER_RULE if reason != "gopher_long_doc" else 4]]
    texts = pa.array([text for _, text in rows], pa.large_string())
    only = [reason if reason == "gopher_long_doc" else "" for reason, _ in rows]
    pq.write_table(pa.table({"text": texts, "only": only}), tmp_path / "texts.parquet")
    command = [DATATROVE, SCRIPTS / "peer_parity_datatrove.py", tmp_path / "texts.parquet", tmp_path / "peer", "0", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    peer = pl.read_parquet(tmp_path / "peer")

    edited = spans.edited(texts, c4.line_edits(texts, Edits()))
    found = signals(texts, ["en"] * len(texts), edited).append_column("language", pa.array(["en"] * len(texts)))
    table = pl.from_arrow(found)
    assert isinstance(table, pl.DataFrame)
    asked = 0
    for group in GROUPS:
        settings = Quality(preset=f"datatrove-{group}", languages=(), without=("language_score",))
        for reason, broken in rules.judgements(settings):
            if reason not in peer.columns:
                continue
            asked += 1
            both = pl.DataFrame({"row": range(len(rows)), "ours": table.select(b=broken)["b"], "peer": peer[reason]})
            assert both["peer"].sum() > 0, reason
            differing = both.filter(pl.col("ours") != pl.col("peer"))["row"]
            # Of scripts without spaces each character is a word here.
            assert [row for row in differing if not UNSPACED.search(rows[row][1])] == [], reason
    assert asked == 31
