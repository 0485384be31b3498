"""The dataset: documents drawn by the mixture, shuffled over all crawls, written as shards with card and manifest.

draw.py says which documents, shuffle.py moves their texts. A killed export goes on with the shards that are missing.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixer import lineage as mixing
from mixer.export import manifest as manifests
from mixer.export.card import card
from mixer.export.draw import Candidates, held_out, pooled, selected, taken_down
from mixer.export.leaks import must_hold_no_test
from mixer.export.phase_order import PhaseDraw, in_phases, starts_of
from mixer.export.selection import Selection
from mixer.export.shards import ShardFile, Split
from mixer.export.shuffle import MAKING, written
from mixer.trial import Schedule
from pipelines import lineage, takedown
from pipelines.columns import DROPS
from pipelines.corpus import Corpus, Report
from pipelines.errors import AccountingError, ContaminationError, InputError, StoreError
from pipelines.optional import by_topic, wanted
from pipelines.store import Stage


def write_dataset(corpus: Corpus, found: Mapping[str, Any], comparison: Mapping[str, Any] | None) -> Report:
    """Write `dataset/<name>/<version>`, or what is missing of it; `found` is mixture.json."""
    started = time.monotonic()
    stage = mixing.dataset(corpus)
    if corpus.workspace.exists(*stage.steps, manifests.NAME):
        manifest = manifests.read(_bytes_of(stage, manifests.NAME))
        if corpus.workspace.names(*stage.steps, MAKING):  # killed between the manifest and the tidying
            corpus.workspace.delete(*stage.steps, MAKING)
        return corpus.report(stage, _told(manifest), started, parts=len(manifest["files"]), todo=0)
    with stage.lease():
        wishes = takedown.read(corpus.workspace)
        candidates = pooled(corpus)
        if stage.recipe.settings.get("takedown", "") != (wishes.digest() if len(wishes) else ""):
            raise StoreError("the takedown list has changed since this version was named; run `sirdar dataset` again")
        if len(wishes):
            candidates = candidates.without(taken_down(corpus, wishes))
        train = np.flatnonzero(~candidates.validation)
        if not len(train):
            raise InputError(f"no document is left to train on; {candidates.num_taken_down} are taken down")
        selection = selected(corpus, candidates, train, found["weights"])
        schedule = Schedule.from_json(found["schedule"])
        parts: tuple[PhaseDraw, ...] = ()
        if len(schedule.phases) > 1:
            selection, parts = in_phases(selection, candidates.clusters[train], candidates.num_tokens[train], schedule)
        held, num_seen = held_out(candidates, train, corpus.settings.dataset.seed)
        drawn: dict[Split, np.ndarray] = {"train": train[selection.rows], "validation": held}
        files, reused = written(corpus, stage, candidates, drawn, starts_of(parts))
        try:
            must_hold_no_test(corpus, stage, [file.path for file in files if "text" in file.columns])
        except ContaminationError:
            corpus.workspace.delete(*stage.steps, MAKING)
            for one in files:
                corpus.workspace.delete(*stage.steps, *one.path.split("/"))
            raise
        notes = [f"{num_seen} held-out documents left out, since their text after edits also stands in training."]
        manifest = _manifest(
            corpus,
            stage,
            files,
            selection,
            found,
            parts,
            funnel=_funnel(corpus, candidates),
            comparison=comparison,
            notes=notes if num_seen else [],
            wishes=_wishes(wishes, candidates.num_taken_down),
        )
        with corpus.workspace.writing(*stage.steps, manifests.CARD) as file:
            file.write(card(manifest).encode())
        with corpus.workspace.writing(*stage.steps, manifests.NAME) as file:
            file.write(manifests.written(manifest))
        corpus.workspace.delete(*stage.steps, MAKING)
    return corpus.report(stage, _told(manifest), started, parts=len(files), todo=len(files) - reused)


def _told(manifest: Mapping[str, Any]) -> dict[str, Any]:
    train, held = manifest["splits"]["train"], manifest["splits"]["validation"]
    counts = {"train_tokens": train["tokens"], "validation_tokens": held["tokens"], "shards": len(train["files"])}
    return {"rows": train["rows"] + held["rows"], "content": manifest["digest"], "counts": counts}


def _bytes_of(stage: Stage, name: str) -> bytes:
    with stage.workspace.open(*stage.steps, name) as file:
        return bytes(file.read())


# ---------------------------------------------------------------------------------------------------------
# Manifest


def _manifest(
    corpus: Corpus,
    stage: Stage,
    files: Sequence[ShardFile],
    selection: Selection,
    found: Mapping[str, Any],
    parts: Sequence[PhaseDraw],
    *,
    funnel: Sequence[Mapping[str, Any]],
    comparison: Mapping[str, Any] | None,
    notes: Sequence[str],
    wishes: Mapping[str, Any],
) -> dict[str, Any]:
    from pipelines import configuration
    from pipelines.clusters import read_clusters
    from pipelines.demo.crawls import ATTRIBUTIONS

    table = read_clusters(corpus)
    names = dict(zip(table["cluster"].to_pylist(), table["name"].to_pylist(), strict=True))
    settings = configuration.dumped(corpus.settings)
    del settings["engine"]  # how it was made changes no byte of it
    return manifests.build(
        name=corpus.settings.dataset.name,
        version=stage.recipe.digest,
        layout=corpus.settings.dataset.format,
        files=files,
        selection=selection.report,
        phases=parts,
        cluster_names=names,
        baselines=found["others"],
        funnel=funnel,
        settings=_without_places(settings),
        inputs=_inputs(corpus, stage),
        models=_models(corpus),
        comparison=comparison,
        notes=notes,
        takedown=wishes,
        **_tallied(stage, ATTRIBUTIONS),
    )


def _without_places(value: Any) -> Any:
    """File names only: contents are in the digests, and where a file lay is nobody's."""
    if isinstance(value, Mapping):
        return {key: _without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    return value.rsplit("/", 1)[-1] if isinstance(value, str) and value.startswith(("/", "~", "./", "../")) else value


def _wishes(list_: takedown.Takedown, documents: int) -> dict[str, Any]:
    """What the card says of the takedown list."""
    return {"entries": len(list_), "digest": list_.digest(), "documents": documents} if len(list_) else {}


def _tallied(stage: Stage, attributions: Mapping[str, str]) -> dict[str, Any]:
    """Licences and languages over all shards, from what each wrote down of itself."""
    names = [name for name in stage.workspace.names(*stage.steps, MAKING) if name.endswith(".tally")]
    tables = (stage.workspace.read_table(*stage.steps, MAKING, name) for name in names)
    return manifests.tallied(tables, attributions)


def _funnel(corpus: Corpus, candidates: Candidates) -> list[dict[str, Any]]:
    """read, kept, dropped and errors of the stages that drop documents, over all crawls, and of the pools."""
    from pipelines.corpus import added

    rows = []
    for name in ("documents", *(name for name in DROPS if wanted(corpus.settings, name))):
        counts = added([getattr(lineage, name)(corpus, crawl.name).finished()["counts"] for crawl in corpus.crawls])
        rows.append(
            {
                "stage": name,
                "read": counts["read"],
                "kept": counts["kept"],
                "dropped": counts.get("dropped", {}),
                "errors": counts.get("errors", {}),
            }
        )
    read, kept, gone = rows[-1]["kept"], len(candidates.ids), candidates.num_taken_down
    dropped = {
        "not_embedded_or_pruned": candidates.num_outside,
        "taken_down": gone,
        "no_tokens": read - kept - candidates.num_outside - gone,
    }
    if min(dropped.values()) < 0:
        raise AccountingError(f"pools: {read} documents read, {kept} kept, {dropped} dropped")
    some = {reason: count for reason, count in dropped.items() if count}
    return [*rows, {"stage": "pools", "read": read, "kept": kept, "dropped": some, "errors": {}}]


def _inputs(corpus: Corpus, stage: Stage) -> dict[str, str]:
    """Every stage folder that this dataset needs to be explained or built again; `sirdar clean` keeps them."""
    from mixer.inspection import stages

    needed = {one.label: one.recipe.digest for _, _, one in stages(corpus) if one and one.manifest()}
    for one in (mixing.search(corpus), mixing.mixture(corpus), mixing.comparison(corpus)):
        needed[one.label] = one.recipe.digest
    return {**needed, **{label: str(digest) for label, digest in stage.recipe.inputs.items()}}


def _models(corpus: Corpus) -> dict[str, str]:
    settings = corpus.settings
    tokenizer, tiered = _without_places(settings.tokens.tokenizer), settings.clusters.tiers
    return {
        "encoder": f"{settings.embeddings.encoder} of {_without_places(settings.embeddings.model)}"
        if by_topic(settings)
        else "none: clusters are the folders of the input",
        "cluster_scores": ", ".join(_without_places(list(settings.clusters.scores))) or "from the quality signals",
        **({"tiers_of_quality": settings.clusters.tier_score or "from the quality signals"} if tiered else {}),
        "tokenizer": f"bpe, {settings.tokens.vocabulary} entries" if tokenizer == "bpe" else tokenizer,
        "language": _without_places(settings.language.model),
    }
