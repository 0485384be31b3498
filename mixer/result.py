"""What a finished job has found, told to a person."""

import math
from typing import Any

from rich.console import Console
from rich.markup import escape

from mixer import lineage as mixing
from mixer.console import losses_table, mixture_table
from mixer.stages import metric_of, read_comparison, read_mixture
from pipelines.corpus import Corpus

SHOWN = ("natural", "uniform", "nearest")


def say(corpus: Corpus, console: Console) -> None:
    """Mixture, epochs, final losses with spread, verdicts, where the dataset lies, five lines of a record.

    StoreError where there is no mixture; of what comes after it, what is not there yet is told with its command.
    """
    found = read_mixture(corpus)
    compared = mixing.comparison(corpus).manifest() is not None
    manifest = mixing.dataset(corpus).manifest() if compared else None
    epochs = [cluster["epochs"] for cluster in manifest["clusters"]] if manifest else []
    parts = found["schedule"]["phases"]
    phases = {f"phase {number}": part["weights"] for number, part in enumerate(parts, 1) if len(parts) > 1}
    mixtures = {"found": found["weights"], **phases, **{name: found["others"][name] for name in SHOWN}}
    console.print()
    console.print(mixture_table([escape(name) for name in found["clusters"]], mixtures, epochs))
    console.print()
    if compared:
        _say_comparison(console, read_comparison(corpus))
    else:
        console.print("Not compared yet on documents that no search saw: sirdar mix comparison", highlight=False)
    if manifest:
        _say_dataset(corpus, console, manifest, corpus.workspace.path(*mixing.dataset(corpus).steps))
    elif compared:
        console.print("\nNo dataset of it yet: sirdar dataset", highlight=False)


def _say_comparison(console: Console, judged: dict[str, Any]) -> None:
    losses = {
        "found" if name == "search" else name: (_number(one["mean"]), _number(one["spread"]))
        for name, one in judged["mixtures"].items()
    }
    seeds, unit = len(judged["seeds"]), metric_of(judged)
    console.print(
        f"Final-split loss on {judged['target']}, {unit}, {seeds} paired seeds", highlight=False, soft_wrap=True
    )
    console.print(losses_table(losses))
    for verdict in judged["verdicts"]:
        console.print(f"  {verdict['text']}", highlight=False, markup=False, soft_wrap=True)
    nearest = next((one for one in judged["verdicts"] if one["other"] == "nearest"), None)
    if nearest is not None and nearest["outcome"] != "beats":
        console.print("[bold]The search does not beat `nearest`, which needs no training, on this target.[/]")


def _number(value: float | None) -> float:
    """Of one seed there is no spread, and of failed runs no mean."""
    return math.nan if value is None else value


def _say_dataset(corpus: Corpus, console: Console, manifest: dict[str, Any], place: str) -> None:
    train = manifest["splits"]["train"]
    console.print(
        f"\nDataset: {place}\n"
        f"  {train['rows']:,} documents, {train['tokens']:,} tokens in {len(train['files'])} shards, "
        f"and {manifest['splits']['validation']['rows']:,} held-out documents",
        highlight=False,
        soft_wrap=True,
    )
    with corpus.workspace.parquet(*mixing.dataset(corpus).steps, *train["files"][0].split("/")) as file:
        record = next(file.iter_batches(batch_size=1)).to_pylist()[0]
    shown = ("id", "text", "token_count", "cluster_id", "url") if "id" in record else tuple(record)[:5]
    for key in shown:
        text = " ".join(str(record[key]).split())
        console.print(
            f"  {key}: {text if len(text) <= 90 else text[:87] + '...'}", highlight=False, markup=False, soft_wrap=True
        )
