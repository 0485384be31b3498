"""README.md of a dataset, all of it from its manifest: YAML that `datasets` and the Hub read, then the facts.

Nothing here is computed or known beyond the manifest; a piece that it lacks is called missing. Names of
clusters, sources and attributions come from crawled pages, so all text is escaped: a page title must not
turn into a heading, a link or another table column.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mixer.export.front_matter import front_matter
from mixer.export.shards import BESIDE

MISSING = "*Missing: {}.*"
MAX_SOURCES = 50  # rows of the licence table; the manifest holds all
SHOWN_BASELINES = ("natural", "uniform", "nearest")

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

Values = Mapping[str, Any]


def card(manifest: Values) -> str:
    """The dataset card: Markdown with YAML front matter."""
    sections = (
        _head,
        _mixture,
        *((_phases,) if manifest.get("phases") else ()),
        _evidence,
        _funnel,
        _licences,
        _taken_out,
        _models,
        _reading,
        _verifying,
    )
    return f"---\n{front_matter(manifest)}---\n\n" + "\n\n".join(section(manifest) for section in sections) + "\n"


def plain(text: Any) -> str:
    """One line of text that Markdown and HTML take literally, also at the start of a line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_{}\[\]#|~$@]|:(?=//)|(?<=www)\.)", r"\\\1", line, flags=re.IGNORECASE)
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", line)


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
        *_table(
            ("split", "rows", "tokens", "files", "bytes"),
            [
                (name, _int(split["rows"]), _int(split["tokens"]), len(split["files"]), _int(split["bytes"]))
                for name, split in (("train", train), ("validation", validation))
            ],
        ),
        "",
        f"Training rows are {_int(documents)} documents; a document stands once for each epoch of its cluster.",
    ]
    if not budget["reached"]:
        lines += [
            "",
            f"**Smaller than asked for:** {_int(budget['tokens'])} tokens were asked for; with at most "
            f"{_num(budget['max_epochs'])} epochs of each cluster there are {_int(train['tokens'])}.",
        ]
    return "\n".join([*lines, *(f"\n{plain(note)}" for note in manifest.get("notes") or ())])


def _mixture(manifest: Values) -> str:
    clusters, baselines = manifest["clusters"], manifest.get("baselines") or {}
    shown = [name for name in SHOWN_BASELINES if name in baselines]
    shown += sorted(name for name in baselines if name not in SHOWN_BASELINES)
    rows = [
        (
            cluster["id"],
            plain(cluster["name"]) or MISSING.format("name"),
            _share(cluster["weight_requested"]),
            _share(cluster["weight"]),
            *(_share(baselines[name][position]) for name in shown),
            _int(cluster["tokens"]),
            _int(cluster["documents"]),
            f"{cluster['epochs']:.2f}",
            "yes" if cluster["capped"] else "",
        )
        for position, cluster in enumerate(clusters)
    ]
    head = (
        "cluster",
        "name",
        "asked for",
        "here",
        *map(plain, shown),
        "tokens",
        "documents",
        "epochs",
        "capped",
    )
    budget = manifest["budget"]
    lines = ["## Mixture", "", *_table(head, rows), ""]
    lacking = [name for name in SHOWN_BASELINES if name not in baselines]
    if lacking:
        lines += [MISSING.format("the weights of " + ", ".join(lacking)), ""]
    capped = [str(cluster["id"]) for cluster in clusters if cluster["capped"]]
    lines.append(
        f"No cluster is repeated more than {_num(budget['max_epochs'])} times. "
        + (
            f"Clusters {', '.join(capped)} would have been; the others got the rest of their share. "
            if capped
            else "None would have been. "
        )
        + f"Weights differ from those asked for by {_share(budget['displaced'])} of the tokens in all; "
        f"seed {budget['seed']}."
    )
    return "\n".join(lines)


def _phases(manifest: Values) -> str:
    """What to read first, and what next."""
    phases = manifest["phases"]
    asked = [f"phase {number} asked for" for number in range(1, len(phases) + 1)]
    here = [f"phase {number} here" for number in range(1, len(phases) + 1)]
    lines = [
        "## Phases",
        "",
        "The mixture changes in the course of training: files are to be read in the order of their names, and are not "
        "to be shuffled over phases. Within a phase rows stand shuffled; no file is of two phases.",
        "",
        *_table(
            ("phase", "asked for", "here", "rows", "tokens", "files"),
            [
                (
                    number,
                    _share(phase["share_requested"]),
                    _share(phase["share"]),
                    _int(phase["rows"]),
                    _int(phase["tokens"]),
                    " to ".join(f"`{path}`" for path in dict.fromkeys((*phase["files"][:1], *phase["files"][-1:]))),
                )
                for number, phase in enumerate(phases, 1)
            ],
        ),
        "",
        *_table(
            ("cluster", *(name for pair in zip(asked, here, strict=True) for name in pair)),
            [
                (
                    cluster["id"],
                    *(_share(phase[key][at]) for phase in phases for key in ("weights_requested", "weights")),
                )
                for at, cluster in enumerate(manifest["clusters"])
            ],
        ),
    ]
    return "\n".join(lines)


def _evidence(manifest: Values) -> str:
    comparison = manifest.get("comparison")
    if not comparison or not comparison.get("mixtures"):
        return "## Evidence\n\n" + MISSING.format("a final comparison of models trained on each mixture")
    told = [
        f"{label} {plain(comparison[key])}"
        for key, label in (
            ("target", "target"),
            ("metric", "metric"),
            ("tokens", "tokens a run:"),
            ("seeds", "seeds:"),
        )
        if comparison.get(key) is not None
    ]
    rows = [
        (
            plain(row["name"]),
            _loss(row.get("mean")),
            _loss(row.get("spread")),
            ", ".join(_loss(loss) for loss in row.get("losses") or ()) or MISSING.format("runs"),
        )
        for row in comparison["mixtures"]
    ]
    verdict = comparison.get("verdict")
    return "\n".join(
        [
            "## Evidence",
            "",
            f"Models trained on each mixture; {'; '.join(told)}. Lower is better.",
            "",
            *_table(("mixture", "mean", "spread", "each seed"), rows),
            "",
            plain(verdict) if verdict else MISSING.format("a verdict"),
        ]
    )


def _funnel(manifest: Values) -> str:
    if not manifest.get("funnel"):
        return "## Funnel\n\n" + MISSING.format("what each stage read, kept and dropped")
    rows = [
        (
            plain(row["stage"]),
            _int(row["read"]),
            _int(row["kept"]),
            _counts(row.get("dropped")),
            _counts(row.get("errors")),
        )
        for row in manifest["funnel"]
    ]
    return "\n".join(["## Funnel", "", *_table(("stage", "read", "kept", "dropped", "errors"), rows)])


def _licences(manifest: Values) -> str:
    listed = manifest.get("licences") or ()
    if not listed:
        return "## Licences and sources\n\n" + MISSING.format("licences and sources of the documents")
    rows = [
        (
            plain(row["source"]) or "(no source)",
            plain(row["licence"]) or "unknown",
            _int(row["rows"]),
            _int(row["tokens"]),
            plain(row.get("attribution") or ""),
        )
        for row in _most(listed)
    ]
    lines = ["## Licences and sources", "", "Each row carries its own `source`, `licence` and `licence_id`."]
    tiers = [(TIERS[key], _int(sums["rows"]), _int(sums["tokens"])) for key, sums in manifest.get("tiers", {}).items()]
    lines += ["", *_table(("source", "licence", "rows", "tokens", "attribution"), rows)]
    if len(rows) < len(listed):
        lines += ["", f"{len(listed) - len(rows)} more are listed in manifest.json."]
    lines += ["", *_table(("tier", "rows", "tokens"), tiers)] if tiers else []
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
            f"\n\nTaken down: {_int(wishes['documents'])} documents, after a list of {_int(wishes['entries'])} entries "
            f"with digest `{plain(wishes['digest'])}`. Earlier versions may hold them."
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


# ---------------------------------------------------------------------------------------------------------
# Cells


def _table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]


def _counts(counts: Mapping[str, int] | None) -> str:
    ordered = sorted((counts or {}).items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{plain(reason)} {_int(count)}" for reason, count in ordered)


def _int(number: int) -> str:
    return f"{number:,}"


def _num(number: float) -> str:
    return f"{number:g}"


def _share(weight: float) -> str:
    return f"{100 * weight:.2f} %"


def _loss(loss: float | None) -> str:
    return MISSING.format("not measured") if loss is None else f"{loss:.4f}"
