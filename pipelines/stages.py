"""The stages that add columns beside the documents, one function each. Open this file first.

Each function finds its stage's address (pipelines/lineage.py), does the parts that are missing, seals the stage and
returns a Report. Running one again is safe and, where nothing is missing, costs a listing. What comes before is
pipelines/ingest.py and targets.py; vectors have vectors/stages.py; what looks at all parts at once is in duplicates/,
fitting.py, clusters.py and pooling.py. The order is in mixer/job.py.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.columns import Rows, Tables, columns_of, dropping, kept_rows, run_rows
from pipelines.corpus import Corpus, Report
from pipelines.duplicates import minhash
from pipelines.duplicates.schemes import scheme_of
from pipelines.edits import chain
from pipelines.edits import spans as edits
from pipelines.optional import dialects_of, wanted
from pipelines.quality import rules
from pipelines.quality import signals as quality
from pipelines.records import ID
from pipelines.settings import Decontamination, Embeddings, Score, Settings
from pipelines.store import Stage


def run_edits(corpus: Corpus, crawl: str) -> Report:
    """Spans that later readers cut from the text, by reason."""
    stage = lineage.edits(corpus, crawl)
    inputs = {"documents": (lineage.documents(corpus, crawl), ("text",))}
    return run_rows(corpus, stage, inputs, partial(_edits, corpus.settings.edits))


def _edits(settings: Any, tables: Tables) -> Rows:
    spans, counts = chain.edits(tables["documents"]["text"], settings)
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

    texts = tables["documents"]["text"]
    languages, scores = language.identify(texts.to_pylist(), model)
    table = quality.signals(texts, languages, edits.edited(texts, tables["edits"]["edits"]))
    table = table.add_column(0, "language_score", pa.array(scores, pa.float32()))
    table = table.add_column(0, "language", pa.array(languages, pa.string()))
    return table, {"read": len(texts)}


def run_dialects(corpus: Corpus, crawl: str) -> Report:
    """Signals as other pipelines count them, where the preset reads them."""
    stage = lineage.dialects(corpus, crawl)
    inputs = {"documents": (lineage.documents(corpus, crawl), ("text",))}
    return run_rows(corpus, stage, inputs, partial(_dialects, sorted(stage.recipe.settings)))


def _dialects(names: Sequence[str], tables: Tables) -> Rows:
    from pipelines.quality import dialects

    table = dialects.signals(tables["documents"]["text"], names)
    return table, {"read": table.num_rows}


def run_scores(corpus: Corpus, crawl: str) -> Report:
    """A value of every classifier for every document, of its text or of its vector."""
    stage, settings = lineage.scores(corpus, crawl), corpus.settings
    inputs: dict[str, tuple[Stage, tuple[str, ...]]] = {"documents": (lineage.documents(corpus, crawl), ("text",))}
    if any(score.kind == "linear" for score in settings.scores):
        inputs["embeddings"] = (lineage.embeddings(corpus, crawl), ("embedded", "vector"))
    return run_rows(corpus, stage, inputs, partial(_scores, settings.scores, settings.embeddings))


def _scores(scores: Sequence[Score], encoder: Embeddings, tables: Tables) -> Rows:
    from pipelines.classifiers.models import encoder_identity
    from pipelines.classifiers.scores import score_texts, score_vectors
    from pipelines.vectors.column import matrix

    table = score_texts(tables["documents"]["text"].to_pylist(), scores)
    if "embeddings" in tables:
        embedded = np.asarray(tables["embeddings"]["embedded"])
        vectors = score_vectors(matrix(tables["embeddings"]["vector"]), embedded, encoder_identity(encoder), scores)
        for name in vectors.column_names:
            table = table.append_column(name, vectors[name])
    counts = {f"no_{name}": table[name].null_count for name in table.column_names}
    return table, {"read": len(tables["documents"]), **counts}


def run_contamination(corpus: Corpus, crawl: str) -> Report:
    """Word n-grams that documents share with tests after their edits, with their places as evidence."""
    stage = lineage.contamination(corpus, crawl)
    inputs = {
        "documents": (lineage.documents(corpus, crawl), ("text",)),
        "edits": (lineage.edits(corpus, crawl), ("edits",)),
    }
    return run_rows(corpus, stage, inputs, partial(_contamination, corpus.settings.decontamination))


def _contamination(settings: Decontamination, tables: Tables) -> Rows:
    from pipelines.contamination.evidence import contamination

    table = contamination(edits.edited(tables["documents"]["text"], tables["edits"]["edits"]), settings)
    tasks = pc.value_counts(pc.list_flatten(table["contaminated_by"]))
    return table, {"read": table.num_rows, "documents": {row["values"]: row["counts"] for row in tasks.to_pylist()}}


def run_verdicts(corpus: Corpus, crawl: str) -> Report:
    """The first reason to drop a document, or none: its address, its language, the preset's rules, scores, tests."""
    from pipelines.quality import dialects

    stage, settings = lineage.verdicts(corpus, crawl), corpus.settings
    read = rules.columns(settings.quality)
    foreign = dialects.schema(dialects_of(settings)).names
    columns: dict[str, tuple[str, ...]] = {
        "signals": tuple(name for name in read if name not in foreign),
        "dialects": tuple(name for name in read if name in foreign),
        "scores": tuple(score.name for score in settings.scores),
        "contamination": ("contaminated_share",),
    }
    inputs = {
        name: (getattr(lineage, name)(corpus, crawl), names)
        for name, names in columns.items()
        if wanted(settings, name)
    }
    if "urls" in stage.recipe.settings:
        inputs["documents"] = (lineage.documents(corpus, crawl), ("url", "robots", "tdm"))
    return run_rows(corpus, stage, inputs, partial(_verdicts, settings))


def _verdicts(settings: Settings, tables: Tables) -> Rows:
    signals = tables["signals"]
    if "dialects" in tables:
        signals = pa.table({**columns_of(signals), **columns_of(tables["dialects"])})
    reasons = [*_address_reasons(settings, tables), rules.verdicts(signals, settings.quality)]
    if "scores" in tables:
        from pipelines.classifiers.scores import score_reasons

        reasons.append(score_reasons(tables["scores"], settings.scores))
    if "contamination" in tables:
        from pipelines.contamination import evidence as contamination

        reasons.append(contamination.reasons(tables["contamination"], settings.decontamination))
    reason = pc.coalesce(*map(_array, reasons))
    dropped = {row["values"]: row["counts"] for row in pc.value_counts(pc.drop_null(reason)).to_pylist()}
    counts = {"read": len(reason), "kept": reason.null_count, "dropped": dropped}
    return pa.table({"reason": reason}), counts


def _address_reasons(settings: Settings, tables: Tables) -> list[pa.Array]:
    """Of block lists and, where they count, of what a page says about its use; first in line."""
    if "documents" not in tables:
        return []
    from pipelines.reading.block_lists import load, url_reasons
    from pipelines.reading.optouts import opt_out_reasons

    pages = tables["documents"]
    found = [url_reasons(pages["url"], load(settings.urls))]
    return [*found, opt_out_reasons(pages["robots"], pages["tdm"])] if settings.urls.drop_opt_outs else found


def _array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def run_signatures(corpus: Corpus, crawl: str) -> Report:
    """Content hash and MinHash bands of every document."""
    stage = lineage.signatures(corpus, crawl)
    inputs = {"documents": (lineage.documents(corpus, crawl), ("text",))}
    return run_rows(corpus, stage, inputs, partial(_signatures, corpus.settings.duplicates))


def _signatures(settings: Any, tables: Tables) -> Rows:
    texts = tables["documents"]["text"]
    return minhash.signatures(texts, scheme_of(settings)), {"read": len(texts)}


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
    digests = pa.array(minhash.content_hashes(pa.array(chosen, pa.large_string())), ID)
    table = pa.table({"tokens": ids, "num_tokens": lengths, "num_bytes": sizes, "text_digest": digests})
    counts = {"read": len(kept), "kept": int(kept.sum()), "dropped": {"by_an_earlier_stage": int((~kept).sum())}}
    return table, {**counts, "tokens": int(lengths.sum()), "bytes": int(sizes.sum())}
