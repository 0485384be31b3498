"""README.md of a dataset, all of it from its manifest: YAML that `datasets` and the Hub read, then the facts.

Nothing here is computed or known beyond the manifest; a piece that it lacks is called missing. Names of
clusters, sources and attributions come from crawled pages, so all text is escaped: a page title must not
turn into a heading, a link or another table column.
"""

from collections.abc import Sequence

from mixer.export.card_mixture import evidence, mixture, phases
from mixer.export.front_matter import front_matter
from mixer.export.markdown import MISSING, Values, counted, numeral, plain, table, whole
from mixer.export.shards import BESIDE

MAX_SOURCES = 50  # rows of the licence table; the manifest holds all

TIERS = {  # of pipelines/reading/licence_ids.py
    "1": "1: public domain or permissive",
    "2": "2: open, share-alike",
    "3": "3: other, or not stated",
}

READING = """\
import json, datasets, polars, pyarrow.dataset

splits = datasets.load_dataset("FOLDER")  # "train" and "validation"
train = json.load(open("FOLDER/manifest.json"))["splits"]["train"]["files"]
table = pyarrow.dataset.dataset(["FOLDER/" + path for path in train]).to_table()
frame = polars.scan_parquet(["FOLDER/" + path for path in train])"""


def card(manifest: Values) -> str:
    """The dataset card: Markdown with YAML front matter."""
    sections = (
        _head,
        mixture,
        *((phases,) if manifest.get("phases") else ()),
        evidence,
        _funnel,
        _licences,
        _taken_out,
        _models,
        _reading,
        _verifying,
    )
    return f"---\n{front_matter(manifest)}---\n\n" + "\n\n".join(section(manifest) for section in sections) + "\n"


# ---------------------------------------------------------------------------------------------------------
# Sections


def _head(manifest: Values) -> str:
    train, validation, budget = (
        manifest["splits"]["train"],
        manifest["splits"]["validation"],
        manifest["budget"],
    )
    documents = sum(cluster["documents"] for cluster in manifest["clusters"])
    lines = [
        f"# {plain(manifest['name'])} {plain(manifest['version'])}",
        "",
        "Text for pretraining language models: documents of a crawl, filtered, deduplicated, grouped into "
        "semantic clusters, and drawn from the clusters by weight. Made by sirdar.",
        "",
        *table(
            ("split", "rows", "tokens", "files", "bytes"),
            [
                (name, whole(split["rows"]), whole(split["tokens"]), len(split["files"]), whole(split["bytes"]))
                for name, split in (("train", train), ("validation", validation))
            ],
        ),
        "",
        f"Training rows are {whole(documents)} documents; a document stands once for each epoch of its cluster.",
    ]
    if not budget["reached"]:
        lines += [
            "",
            f"**Smaller than asked for:** {whole(budget['tokens'])} tokens were asked for; with at most "
            f"{numeral(budget['max_epochs'])} epochs of each cluster there are {whole(train['tokens'])}.",
        ]
    return "\n".join([*lines, *(f"\n{plain(note)}" for note in manifest.get("notes") or ())])


def _funnel(manifest: Values) -> str:
    if not manifest.get("funnel"):
        return "## Funnel\n\n" + MISSING.format("what each stage read, kept and dropped")
    rows = [
        (
            plain(row["stage"]),
            whole(row["read"]),
            whole(row["kept"]),
            counted(row.get("dropped")),
            counted(row.get("errors")),
        )
        for row in manifest["funnel"]
    ]
    return "\n".join(["## Funnel", "", *table(("stage", "read", "kept", "dropped", "errors"), rows)])


def _licences(manifest: Values) -> str:
    listed = manifest.get("licences") or ()
    if not listed:
        return "## Licences and sources\n\n" + MISSING.format("licences and sources of the documents")
    rows = [
        (
            plain(row["source"]) or "(no source)",
            plain(row["licence"]) or "unknown",
            whole(row["rows"]),
            whole(row["tokens"]),
            plain(row.get("attribution") or ""),
        )
        for row in _most(listed)
    ]
    lines = ["## Licences and sources", "", "Each row carries its own `source`, `licence` and `licence_id`."]
    tiers = [
        (TIERS[key], whole(sums["rows"]), whole(sums["tokens"])) for key, sums in manifest.get("tiers", {}).items()
    ]
    lines += ["", *table(("source", "licence", "rows", "tokens", "attribution"), rows)]
    if len(rows) < len(listed):
        lines += ["", f"{len(listed) - len(rows)} more are listed in manifest.json."]
    lines += ["", *table(("tier", "rows", "tokens"), tiers)] if tiers else []
    return "\n".join(lines)


def _taken_out(manifest: Values) -> str:
    """Whose wishes were followed, and which tests were looked for."""
    settings = manifest.get("settings") or {}
    tests = settings.get("decontamination") or {}
    names = ", ".join(plain(one["name"]) for one in tests.get("sets") or ())
    wishes = manifest.get("takedown") or {}
    if names and tests.get("action") == "drop":
        said = f"Looked for in its texts, word {tests['ngram']}-grams, and not there: {names}."
    elif names:
        said = f"Looked for, and what was found was left in: {names}."
    else:
        said = "No test was looked for."
    if wishes:
        said += (
            f"\n\nTaken down: {whole(wishes['documents'])} documents, after a list of {whole(wishes['entries'])} "
            f"entries with digest `{plain(wishes['digest'])}`. Earlier versions may hold them."
        )
    return f"## Taken out\n\n{said}"


def _most(listed: Sequence[Values]) -> list[Values]:
    """The first sources, and all that ask for attribution: leaving one out would break its licence."""
    return [row for position, row in enumerate(listed) if position < MAX_SOURCES or row.get("attribution")]


def _models(manifest: Values) -> str:
    used = {"encoder": None, "cluster_scores": None, "tokenizer": None} | dict(manifest.get("models") or {})
    told = {
        key.replace("_", " "): plain(value) if value else MISSING.format("not stated") for key, value in used.items()
    }
    digest, inputs = manifest.get("settings_digest"), manifest.get("inputs") or {}
    told["settings"] = f"in manifest.json, SHA-256 `{digest}`" if digest else MISSING.format("not stated")
    told["inputs"] = f"{len(inputs)} stages, by digest:" if inputs else MISSING.format("not stated")
    return "\n".join(
        [
            "## How it was made",
            "",
            *(f"- {plain(key)}: {value}" for key, value in told.items()),
            *(f"  - {plain(stage)}: {plain(digest)}" for stage, digest in inputs.items()),
        ]
    )


def _reading(manifest: Values) -> str:
    lines = ["## How to read it", "", "```python", READING, "```"]
    if manifest["layout"] == "nanochat":
        last = ", ".join(manifest["splits"]["validation"]["files"]) or MISSING.format("no file")
        lines += [
            "",
            "nanochat reads the folder as it is: copy the shards to its data folder. It takes the last one "
            f"for validation: {last}. Files of the same names in `columns/` hold, row by row, "
            f"{', '.join(f'`{name}`' for name in BESIDE.names)}.",
        ]
    return "\n".join(lines)


def _verifying(manifest: Values) -> str:
    return "\n".join(
        [
            "## How to verify it",
            "",
            "    sirdar export verify FOLDER",
            "",
            "checks every file against manifest.json (size, SHA-256, rows, columns, content), the counts and "
            "weights above against the rows, and that training and validation share no document and no text. "
            f"Digest of the manifest: `{manifest.get('digest') or 'missing'}`.",
        ]
    )
