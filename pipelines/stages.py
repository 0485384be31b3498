"""The stages that add columns beside the documents, one function each. Open this file first.

Each function finds its stage's address (pipelines/lineage.py), does the parts that are missing, seals the stage and
returns a Report. Running one again is safe and, where nothing is missing, costs a listing. What comes before is
pipelines/ingest.py and targets.py; vectors have vectors/stages.py; what looks at all parts at once is in duplicates/,
fitting.py and pooling.py. The order is in mixer/job.py.
"""

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.columns import Rows, Tables, dropping, kept_rows, run_rows
from pipelines.corpus import Corpus, Report
from pipelines.duplicates import minhash
from pipelines.edits import spans as edits
from pipelines.quality import signals as quality
from pipelines.records import ID


def run_edits(corpus: Corpus, crawl: str) -> Report:
    """Spans that later readers cut from the text, by reason."""
    stage = lineage.edits(corpus, crawl)
    inputs = {"documents": (lineage.documents(corpus, crawl), ("text",))}
    return run_rows(corpus, stage, inputs, partial(_edits, corpus.settings.edits))


def _edits(settings: Any, tables: Tables) -> Rows:
    spans, counts = edits.line_edits(tables["documents"]["text"].to_pylist(), settings)
    return pa.table({"edits": spans}), {"read": len(spans), "spans": dict(counts)}


def run_signals(corpus: Corpus, crawl: str) -> Report:
    """Language and the raw value of every heuristic."""
    stage = lineage.signals(corpus, crawl)
    inputs = {
        "documents": (lineage.documents(corpus, crawl), ("text",)),
        "edits": (lineage.edits(corpus, crawl), ("edits",)),
    }
    return run_rows(corpus, stage, inputs, partial(_signals, corpus.settings.language.model))


def _signals(model: str, tables: Tables) -> Rows:
    from pipelines.text import language

    texts = tables["documents"]["text"].to_pylist()
    languages, scores = language.identify(texts, model)
    table = quality.signals(texts, languages, edits.texts_after(texts, tables["edits"]["edits"]))
    table = table.add_column(0, "language_score", pa.array(scores, pa.float32()))
    table = table.add_column(0, "language", pa.array(languages, pa.string()))
    return table, {"read": len(texts)}


def run_verdicts(corpus: Corpus, crawl: str) -> Report:
    """The preset's thresholds over the signals: the first reason to drop a document, or none."""
    stage = lineage.verdicts(corpus, crawl)
    inputs = {"signals": (lineage.signals(corpus, crawl), quality.COLUMNS)}
    return run_rows(corpus, stage, inputs, partial(_verdicts, corpus.settings.quality))


def _verdicts(settings: Any, tables: Tables) -> Rows:
    reasons = quality.verdicts(tables["signals"], settings)
    dropped = {row["values"]: row["counts"] for row in pc.value_counts(pc.drop_null(reasons)).to_pylist()}
    counts = {"read": len(reasons), "kept": reasons.null_count, "dropped": dropped}
    return pa.table({"reason": reasons}), counts


def run_signatures(corpus: Corpus, crawl: str) -> Report:
    """Content hash and MinHash bands of every document."""
    stage = lineage.signatures(corpus, crawl)
    inputs = {"documents": (lineage.documents(corpus, crawl), ("text",))}
    return run_rows(corpus, stage, inputs, partial(_signatures, corpus.settings.duplicates))


def _signatures(settings: Any, tables: Tables) -> Rows:
    texts = tables["documents"]["text"].to_pylist()
    return minhash.signatures(texts, settings), {"read": len(texts)}


def run_tokens(corpus: Corpus, crawl: str) -> Report:
    """Token ids of every kept document's text after its edits; none for the others."""
    from pipelines.fitting import tokenizer_json

    stage = lineage.tokens(corpus, crawl)
    inputs = {
        "documents": (lineage.documents(corpus, crawl), ("text",)),
        "cuts": (lineage.cuts(corpus, crawl), ("edits",)),
        **dropping(corpus, crawl),
    }
    return run_rows(corpus, stage, inputs, partial(_tokens, tokenizer_json(corpus)))


def _tokens(tokenizer: bytes, tables: Tables) -> Rows:
    from pipelines import tokens

    kept = kept_rows(tables)
    texts = edits.texts_after(tables["documents"]["text"].to_pylist(), tables["cuts"]["edits"])
    chosen = [text if keep else "" for text, keep in zip(texts, kept.tolist(), strict=True)]
    sizes = np.array([len(text.encode()) for text in chosen], np.int64)
    ids = tokens.encode(tokens.load_tokenizer(tokenizer), chosen, kept)
    lengths = np.asarray(pc.list_value_length(ids)).astype(np.int32)
    digests = pa.array([minhash.content_hash(text) for text in chosen], ID)
    table = pa.table({"tokens": ids, "num_tokens": lengths, "num_bytes": sizes, "text_digest": digests})
    counts = {"read": len(kept), "kept": int(kept.sum()), "dropped": {"by_an_earlier_stage": int((~kept).sum())}}
    return table, {**counts, "tokens": int(lengths.sum()), "bytes": int(sizes.sum())}
