"""`sirdar corpus`: what other filters would keep, classifiers of documents, takedowns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mixer.command.options import CrawlOption, SetOption, WorkspaceOption, console, opened, output
from pipelines import configuration
from pipelines.errors import InputError, SettingsError
from pipelines.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Preview filters, or train classifiers.")
takedown_app = typer.Typer(no_args_is_help=True, help="Documents that must not be in any later dataset.")

SHOWN_CHARS = 160  # of a sample's text


@app.command()
def preview(
    workspace: WorkspaceOption = "workspace",
    change: SetOption = [],
    crawl: CrawlOption = "",
    samples: Annotated[int, typer.Option(min=0, help="Documents shown on either side of a changed limit.")] = 3,
) -> None:
    """What other quality settings would keep and drop, with documents on either side of each changed limit.

    Reads the signals that are there, and computes those of another pipeline's preset in memory; writes nothing.
    Verdicts of URLs, scores and tests stay.

    Example: sirdar corpus preview -w ws --set quality.limits.gopher_short_doc=20
    """
    from pipelines.quality.preview import preview as previewed

    corpus = opened(workspace)
    old = corpus.settings
    new = _changed(corpus, change)
    crawls = [corpus.crawl(crawl).name] if crawl else [one.name for one in corpus.crawls]
    found = previewed(_signals(corpus, crawls, new), old.quality, new.quality, samples)
    output.print(f"{found.rows:,} documents of {', '.join(crawls)}\n", highlight=False)
    output.print(f"{'verdict':<34}{'before':>12}{'after':>12}", highlight=False)
    for reason, before, after in found.table():
        output.print(f"{reason or 'kept':<34}{before:>12,}{after:>12,}", highlight=False)
    moved = found.moved()
    output.print("\nNo document changes sides." if not moved else "\nOf these:", highlight=False)
    for old_reason, new_reason, count in moved:
        output.print(f"{count:>12,}  {old_reason or 'kept'} -> {new_reason or 'kept'}", highlight=False)
    for one in found.changes:
        _say_samples(corpus, one)


def _changed(corpus: Any, change: list[str]) -> Settings:
    """The workspace's settings with these changes; SettingsError where one is not of `quality`."""
    other = [one for one in change if not one.strip().startswith("quality.")]
    if other or not change:
        named = f"{other[0]!r} is none of quality" if other else "nothing is changed"
        raise SettingsError(
            f"preview: {named}; write --set quality.limits.REASON=NUMBER, quality.preset, quality.without or "
            "quality.languages. Other sections change what is computed: `sirdar build --dry-run --set ...` says what"
        )
    from pipelines.corpus import choose

    return configuration.resolved(choose(corpus.workspace, None, preset=None, changes=change))


def _signals(corpus: Any, crawls: list[str], new: Settings) -> Iterator[tuple[str, Any]]:
    """(crawl/part, the columns that both settings read)."""
    import pyarrow as pa

    from pipelines import lineage
    from pipelines.columns import columns_of
    from pipelines.optional import dialects_of
    from pipelines.quality.dialects import schema
    from pipelines.quality.preview import columns
    from pipelines.store import aligned

    read = columns(corpus.settings.quality, new.quality)
    both = [dialects_of(settings) for settings in (corpus.settings, new)]
    asked = [names for at, names in enumerate(both) if names and names not in both[:at]]
    own = [name for name in read if not any(name in schema(names).names for names in asked)]
    for crawl in crawls:
        signals, documents = lineage.signals(corpus, crawl), lineage.documents(corpus, crawl)
        dialects = [(lineage.dialects_stage(corpus, crawl, names), names) for names in asked]
        parts = lineage.part_names(signals.finished())
        for stage, names in dialects:
            missing = sum(not stage.has(part) for part in parts)
            if missing:
                told = f"{crawl}: the signals of {', '.join(names)} are computed for {missing} of {len(parts)} parts"
                console.print(told, highlight=False, markup=False, soft_wrap=True)
        for part in sorted(parts):
            tables = [_dialects(stage, names, documents, part) for stage, names in dialects]
            tables.append(signals.read(part, ["id", *own]))
            aligned(*tables)
            yield (
                f"{crawl}/{part}",
                pa.table({name: column for one in tables for name, column in columns_of(one).items()}),
            )


def _dialects(stage: Any, names: Any, documents: Any, part: str) -> Any:
    """The signals of dialects, as kept or from the documents' text."""
    from pipelines.quality import dialects

    if stage.has(part):
        return stage.read(part, ["id", *dialects.schema(names).names])
    texts = documents.read(part, ["id", "text"])
    return dialects.signals(texts["text"], names).add_column(0, "id", texts["id"])


def _say_samples(corpus: Any, change: Any) -> None:
    """The documents nearest to a changed limit, those that it keeps first."""
    rule = change.rule
    limits = " -> ".join("not asked" if one is None else f"{one.limit:g}" for one in (change.before, change.after))
    output.print(f"\n[bold]{rule.reason}[/]: {rule.signal}, {limits}", highlight=False)
    for said, samples in (("kept", change.kept), ("dropped", change.dropped)):
        for sample in samples:
            document = _document(corpus, sample)
            text = " ".join(document["text"].split())[:SHOWN_CHARS]
            told = f"  {said:<8}{sample.value:<10.4g}{document['id'].hex()}  {document['url']}"
            output.print(told, highlight=False, markup=False, soft_wrap=True)
            output.print(f"          {escape(text)}", style="dim", highlight=False, soft_wrap=True)


def _document(corpus: Any, sample: Any) -> dict[str, Any]:
    from pipelines import lineage

    crawl, _, part = sample.part.partition("/")
    rows = lineage.documents(corpus, crawl).read(part, ["id", "url", "text"]).slice(sample.row, 1)
    return dict(rows.to_pylist()[0])


@app.command("train-classifier")
def train_classifier(
    examples: Annotated[list[Path], typer.Argument(help="JSONL files with `text` and `label`, maybe compressed.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="NAME.bin for fastText, NAME.npz for a head on embeddings.")],
    change: Annotated[list[str], typer.Option("--set", help="key=value of the training, e.g. epochs=10.")] = [],
) -> None:
    """Train a classifier of documents on labelled examples; a report on held-out ones stands beside it.

    Example: sirdar corpus train-classifier labelled.jsonl --out models/good.bin
    """
    from pipelines.classifiers.training import ENDINGS, Training, told, train

    kinds: dict[str, Any] = {ending: kind for kind, ending in ENDINGS.items()}
    if out.suffix not in kinds:
        raise SettingsError(f"--out {out}: end it in {' or '.join(f'{end} ({kind})' for end, kind in kinds.items())}")
    with console.status("training"):
        report = train(examples, kinds[out.suffix], out, configuration.changed(Training(), change))
    output.print(told(report), highlight=False, markup=False, soft_wrap=True)


@takedown_app.command("add")
def takedown_add(
    reason: Annotated[str, typer.Option(help="Whose wish it is, and why.")],
    url: Annotated[list[str], typer.Option("--url", help="A page; repeatable.")] = [],
    domain: Annotated[list[str], typer.Option("--domain", help="A host, with all below it; repeatable.")] = [],
    document: Annotated[list[str], typer.Option("--id", help="A document's id, 32 hex digits; repeatable.")] = [],
    file: Annotated[Path | None, typer.Option("--file", help="Lines of a kind (url, domain, id) and a value.")] = None,
    workspace: WorkspaceOption = "workspace",
) -> None:
    """Take documents out of every later dataset, with their copies; the next `sirdar dataset` writes a version without.

    Example: sirdar takedown add --domain shop.example --reason "owner's letter" -w ws
    """
    import datetime

    from pipelines import takedown

    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    wishes: list[tuple[Any, str]] = [("url", value) for value in url] + [("domain", value) for value in domain]
    wishes += [("id", value) for value in document] + (_listed(file) if file else [])
    if not wishes:
        raise InputError("takedown add: name something, --url, --domain, --id or --file")
    place = opened(workspace).workspace
    entries = [takedown.Entry(kind, value, today, reason) for kind, value in wishes]
    output.print(f"{takedown.add(place, entries)} new of {len(entries)}; {len(takedown.read(place))} in all")


def _listed(file: Path) -> list[tuple[Any, str]]:
    """(kind, value) of a file's lines; InputError for one that is neither, and for a file that cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--file {file} cannot be read as lines of UTF-8: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        kind, _, value = line.strip().partition(" ")
        if kind and kind not in ("url", "domain", "id"):
            raise InputError(f"{file}, line {number}: {line.strip()!r} begins with none of url, domain and id")
        if kind:
            found.append((kind, value.strip()))
    return found


@takedown_app.command("list")
def takedown_list(workspace: WorkspaceOption = "workspace") -> None:
    """What has to be taken out, oldest first.

    Example: sirdar takedown list -w ws
    """
    from pipelines import takedown

    for entry in takedown.read(opened(workspace).workspace).entries:
        told = f"{entry.date}  {entry.kind:<7} {entry.value}  {entry.reason}".rstrip()
        output.print(told, highlight=False, markup=False, soft_wrap=True)
