"""Small pictures for a materialisation, most often one, as Markdown with a PNG in it.

Dagster stores metadata in its database, three times over, so a picture stays near 25 KB: 6 x 3 inches at 80
dots. Rows are looked at up to a limit; counts are complete.
"""

import base64
import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from assets import search_plots
from assets.search_plots import Draw
from pipelines.corpus import Corpus, Report
from pipelines.store import Stage

MAX_PARTS = 8  # whose rows are looked at
MAX_POINTS = 2000
MAX_BARS = 12


def of(corpus: Corpus, report: Report) -> dict[str, str]:
    """Name -> `![title](data:image/png;base64,...)` of what there is to see of a stage; the first is called `plot`."""
    kind = report.stage.partition(" ")[0]  # `round 2` is a round
    draws = {"plot": _DRAWN[kind]} if kind in _DRAWN else search_plots.DRAWN.get(kind, {})
    images = {name: _image(draw, corpus, report) for name, draw in draws.items()}
    return {name: image for name, image in images.items() if image is not None}


def _image(draw: Draw, corpus: Corpus, report: Report) -> str | None:
    from matplotlib.figure import Figure  # 0.5 s; without pyplot, which looks for a display

    figure = Figure(figsize=(6, 3), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    title = draw(axes, corpus, report)
    if title is None:
        return None
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return f"![{title}](data:image/png;base64,{base64.b64encode(written.getvalue()).decode()})"


# ---------------------------------------------------------------------------------------------------------
# Counts


def _reasons(axes: Any, corpus: Corpus, report: Report) -> str | None:
    counts = report.counts
    dropped = Counter({**counts.get("dropped", {}), **counts.get("errors", {})})
    bars = {"kept": counts.get("kept", 0), **dict(dropped.most_common(MAX_BARS))}
    _bars(axes, bars)
    return "documents by outcome" if any(bars.values()) else None


def _spans(axes: Any, corpus: Corpus, report: Report) -> str | None:
    spans = dict(Counter(report.counts.get("spans", {})).most_common(MAX_BARS))
    _bars(axes, spans)
    return "spans cut, by reason" if spans else None


def _clusters(axes: Any, corpus: Corpus, report: Report) -> str | None:
    table = _cluster_table(corpus)
    largest = sorted(zip(table["name"], table["tokens"], strict=True), key=lambda pair: -pair[1])[:MAX_BARS]
    _bars(axes, {f"{name[:30]}": tokens for name, tokens in largest})
    return "tokens of each cluster"


def _pools(axes: Any, corpus: Corpus, report: Report) -> str | None:
    from pipelines.pooling import open_pool

    pool = open_pool(corpus)
    numbers = np.arange(pool.num_buckets)
    axes.bar(numbers, pool.num_tokens["train"], label="train")
    axes.bar(numbers, pool.num_tokens["validation"], bottom=pool.num_tokens["train"], label="validation")
    axes.set_xlabel("cluster", fontsize=8)
    axes.legend(fontsize=7)
    return "tokens in the pools"


def _evaluations(axes: Any, corpus: Corpus, report: Report) -> str | None:
    from pipelines.pooling import read_evaluations

    counts = read_evaluations(corpus)[1]
    if not counts:
        return None
    width = 0.8 / max(1, len(counts))
    for number, (name, documents) in enumerate(sorted(counts.items())):
        shares = np.array(documents) / max(1, sum(documents))
        axes.bar(np.arange(len(shares)) + number * width, shares, width, label=name)
    axes.set_xlabel("cluster", fontsize=8)
    axes.legend(fontsize=7)
    return "where each target's documents fall"


# ---------------------------------------------------------------------------------------------------------
# Columns


def _languages(axes: Any, corpus: Corpus, report: Report) -> str | None:
    found = Counter(value for part in _columns(corpus, report, "language") for value in part.to_pylist())
    _bars(axes, {name or "unknown": n for name, n in found.most_common(MAX_BARS)})
    return "documents by language" if found else None


def _lengths(axes: Any, corpus: Corpus, report: Report) -> str | None:
    lengths = np.concatenate([np.asarray(part) for part in _columns(corpus, report, "num_tokens")] or [np.zeros(0)])
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return None
    axes.hist(np.log10(lengths), bins=40)
    axes.set_xlabel("tokens, powers of ten", fontsize=8)
    return "length of kept documents"


def _sizes(axes: Any, corpus: Corpus, report: Report) -> str | None:
    numbers = np.concatenate([np.asarray(part) for part in _columns(corpus, report, "cluster")] or [np.zeros(0, int)])
    sizes = np.sort(np.bincount(numbers[numbers >= 0]))[::-1]
    if not len(sizes):
        return None
    axes.bar(np.arange(len(sizes)), sizes, width=1.0)
    axes.set_xlabel("fine cluster, by size", fontsize=8)
    return "documents in each fine cluster"


def _vectors(axes: Any, corpus: Corpus, report: Report) -> str | None:
    from pipelines.vectors.column import matrix

    columns = _columns(corpus, report, "vector")
    if not columns:
        return None
    vectors = matrix(columns[0])[: 4 * MAX_POINTS].astype(np.float32)
    vectors = vectors[vectors.any(axis=1)][:MAX_POINTS]
    if len(vectors) < 3:
        return None
    centred = vectors - vectors.mean(axis=0)
    _, axes_of_variance = np.linalg.eigh(centred.T @ centred)
    places = centred @ axes_of_variance[:, -2:]
    axes.scatter(places[:, 1], places[:, 0], s=2, alpha=0.5)
    return "vectors along their two widest directions"


_DRAWN: Mapping[str, Draw] = {
    "documents": _reasons,
    "edits": _spans,
    "signals": _languages,
    "verdicts": _reasons,
    "duplicates": _reasons,
    "embeddings": _vectors,
    "fine_clusters": _sizes,
    "tokens": _lengths,
    "clusters": _clusters,
    "pools": _pools,
    "evaluations": _evaluations,
}


def _bars(axes: Any, values: Mapping[str, float]) -> None:
    names = list(values)[::-1]
    axes.barh(names, [values[name] for name in names])


def _columns(corpus: Corpus, report: Report, name: str) -> list[Any]:
    """One column of the first parts."""
    from pipelines import lineage

    stage: Stage = getattr(lineage, report.stage)(corpus, report.crawl)
    parts = [part["part"] for part in stage.finished()["parts"] if part["rows"]]
    return [stage.read(part, [name])[name] for part in parts[:MAX_PARTS]]


def _cluster_table(corpus: Corpus) -> dict[str, list[Any]]:
    from pipelines.clusters import read_clusters

    return dict(read_clusters(corpus).select(["name", "tokens"]).to_pydict())
