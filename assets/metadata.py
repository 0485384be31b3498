"""What a materialisation shows: counts, schema, funnel, a sample and plots, from a stage's report.

Numbers stay plain numbers, since the UI draws them over time. What cannot be had (no sample of a stage of
files, no funnel where nothing is dropped) is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets import evidence, plots
from pipelines.corpus import Corpus, Report

SAMPLE_ROWS = 3
SAMPLE_CHARS = 80
TABLE_ROWS = 50

MEANINGS = {
    "id": "128-bit hash of the record's own identity",
    "url": "address of the page",
    "date": "when it was fetched, as the crawl says it",
    "source": "host name, or the record's own `source`",
    "licence": "empty where unknown",
    "charset": "how the bytes were decoded",
    "num_replaced": "undecodable places, now U+FFFD",
    "offset": "of the record in its input file",
    "length": "of the record in its input file, in stored bytes",
    "num_bytes": "UTF-8 bytes of the text",
    "text": "the extracted text, written once",
    "edits": "spans to cut, with their reasons",
    "language": "of the whole text",
    "language_score": "confidence of the language",
    "reason": "why the document is dropped; null: kept",
    "content_hash": "of the text, white space aside",
    "duplicate_of": "id of the document that stays; null: this one",
    "method": "how the duplicate was found",
    "embedded": "passed the coarse gate",
    "vector": "of the text; zeros where not embedded",
    "cluster": "nearest centroid; -1: not embedded",
    "distance": "to that centroid",
    "tokens": "ids, end of text included",
    "num_tokens": "number of ids",
    "token_count": "number of ids",
    "cluster_id": "merged cluster",
}


def of(corpus: Corpus, report: Report) -> dict[str, Any]:
    """The metadata of one stage, of one crawl where it has crawls."""
    counts = report.counts
    shown: dict[str, Any] = {
        "dagster/uri": corpus.workspace.path(report.label),
        "bytes": corpus.workspace.size(report.label),
        "seconds": round(report.seconds, 3),
        "peak_bytes": report.peak_bytes,
        "content": report.content,
        "reused": report.parts > 0 and report.reused == report.parts,
    }
    if report.rows:
        shown["dagster/row_count"] = report.rows
        if report.reused < report.parts and report.seconds > 0:
            shown["rows_per_second"] = round(report.rows / report.seconds, 1)
    if counts.get("read") and "kept" in counts:
        shown["kept_fraction"] = counts["kept"] / counts["read"]
    shown |= {name: value for name, value in counts.items() if isinstance(value, int | float | str)}
    shown |= _tables(corpus, report)
    shown |= {name: dg.MetadataValue.md(image) for name, image in plots.of(corpus, report).items()}
    return values(shown)


def values(told: Mapping[str, Any]) -> dict[str, Any]:
    """As Dagster takes them: NumPy's numbers and infinities it does not."""
    found = {}
    for name, value in told.items():
        number = value.item() if hasattr(value, "item") else value
        finite = not isinstance(number, float) or abs(number) < float("inf")
        found[name] = number if finite else str(number)
    return {name: value for name, value in found.items() if value is not None}


def funnel(counts: Mapping[str, Any]) -> Any | None:
    """Reason -> count, the most frequent first; None where nothing was read."""
    if not counts.get("read"):
        return None
    reasons = {**counts.get("dropped", {}), **{f"error: {name}": n for name, n in counts.get("errors", {}).items()}}
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    rows = [("read", counts["read"]), *ranked, *([("kept", counts["kept"])] if "kept" in counts else [])]
    return table([{"reason": name, "count": n, "share": round(n / counts["read"], 4)} for name, n in rows])


def table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A table of plain values; lists and nested ones as text."""
    plain = [{name: _cell(value) for name, value in row.items()} for row in rows[:TABLE_ROWS]]
    columns = [dg.TableColumn(name, _type_of(value)) for name, value in plain[0].items()]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in plain], dg.TableSchema(columns))


def sample(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A few rows as Markdown, cut and escaped: pages hold anything."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(_escaped(row[name]) for name in names) + " |" for row in rows[:SAMPLE_ROWS]]
    return dg.MetadataValue.md("\n".join(lines))


# ---------------------------------------------------------------------------------------------------------


def _tables(corpus: Corpus, report: Report) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if (dropped := funnel(report.counts)) is not None:
        found["funnel"] = dropped
    if (first := _first_rows(corpus, report)) is not None:
        schema, rows = first
        columns = [dg.TableColumn(one.name, str(one.type), MEANINGS.get(one.name)) for one in schema]
        found["dagster/column_schema"] = dg.TableSchema(columns)
        if rows:
            found["sample"] = sample(rows)
    kind = report.stage.partition(" ")[0]
    if kind == "clusters":
        from pipelines.clusters import read_clusters

        found["clusters_found"] = table(read_clusters(corpus).drop_columns(["examples"]).to_pylist())
    elif kind == "round":
        found["leaderboard"] = table(evidence.trials(corpus, evidence.round_of(report.stage)))
    elif kind == "predictor":
        fit = evidence.fit(corpus, evidence.round_of(report.stage))
        found["cross_validation"] = dg.MetadataValue.json(fit.get("cross_validation", {}))
    elif kind == "mixture":
        clusters, mixtures = evidence.mixtures(corpus)
        by_name: dict[str, Sequence[Any]] = {"cluster": clusters, **mixtures}
        found["weights"] = table([dict(zip(by_name, row, strict=True)) for row in zip(*by_name.values(), strict=True)])
    elif kind == "comparison":
        found["results"] = table([{"mixture": name, **one} for name, one in evidence.comparison(corpus).items()])
    return found


def _first_rows(corpus: Corpus, report: Report) -> tuple[Any, list[dict[str, Any]]] | None:
    """Schema and first rows of a stage of parts: one row group of one file is read."""

    steps = report.label.split("/")
    path = next((name for name in corpus.workspace.names(*steps) if _is_data(name)), None)
    if path is None:
        return None
    with corpus.workspace.parquet(*steps, path) as parquet:
        if not parquet.num_row_groups:
            return parquet.schema_arrow, []
        batch = next(parquet.iter_batches(batch_size=SAMPLE_ROWS), None)
        return parquet.schema_arrow, batch.to_pylist() if batch is not None else []


def _is_data(name: str) -> bool:
    return name.endswith(".parquet") and not name.endswith(".rejects.parquet")


def _cell(value: Any) -> Any:
    if isinstance(value, float) and abs(value) != float("inf"):
        return round(value, 6)
    if value is None or isinstance(value, str | int | bool):
        return value if value is not None else ""
    if isinstance(value, Sequence) and value and all(isinstance(one, float) for one in value):
        return " ".join(f"{one:.3f}" for one in value)
    if isinstance(value, Sequence):
        return ", ".join(map(str, value))
    return str(value)


def _type_of(value: Any) -> str:
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "string")


def _escaped(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else "" if value is None else str(value)
    text = " ".join(text[: SAMPLE_CHARS + 1].split())
    cut = text if len(text) <= SAMPLE_CHARS else text[: SAMPLE_CHARS - 3] + "..."
    for plain, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\\", "\\\\"), ("|", "\\|")):
        cut = cut.replace(plain, written)
    for mark in "`*_[]!#~$":
        cut = cut.replace(mark, "\\" + mark)
    return cut
