"""Train a classifier of documents: a fastText model or a linear head on the embeddings, with a held-out report.

fastText models are trained by floret, a fork that lives under a name of its own, so that it stands beside the package
that predicts. Its plain mode does what fastText does and its file differs in two more numbers of the header; without
them it is the file that fastText itself writes, byte for byte (compared with fastText 0.9.2). One thread, so the same
files give the same model.
"""

import json
import os
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipelines.classifiers import held_out
from pipelines.classifiers.examples import HELD_OUT, TRAIN, Example, Examples, read_examples
from pipelines.classifiers.models import LABEL, FastText, LinearHead, encoder_identity, known_label, line_of
from pipelines.digest import file_digest
from pipelines.errors import InputError
from pipelines.section import Section
from pipelines.settings import Embeddings

Kind = Literal["fasttext", "linear"]
ENDINGS = {"fasttext": ".bin", "linear": ".npz"}
HEADER = 64  # bytes of fastText's format 12 before its dictionary
MODE_AND_HASHES = slice(52, 60)  # floret's two numbers more


class Training(Section):
    """How a classifier is trained."""

    held_out: float = Field(0.1, gt=0, lt=1, description="share of the texts that only the report sees")
    seed: int = Field(42, ge=0, description="of the split")
    positive: str = Field("", description="the label that thresholds are for; empty: of two, the last in order")
    target_precision: float = Field(0.9, gt=0, le=1, description="of a suggested threshold")
    keep_share: float = Field(0.1, gt=0, le=1, description="of another, as DCLM chose its own")
    epochs: int = Field(5, gt=0, description="fastText: passes over the examples")
    learning_rate: float = Field(0.5, gt=0, description="fastText: at the start")
    word_ngrams: int = Field(2, gt=0, description="fastText: words in a feature, at most")
    dimensions: int = Field(100, gt=0, description="fastText: of a feature's vector")
    buckets: int = Field(200_000, gt=0, description="fastText: rows that word n-grams share")
    min_count: int = Field(3, gt=0, description="fastText: rarer words are unknown")
    penalty: float = Field(0.0001, gt=0, description="linear: weight of the squared norm, for one example")
    embeddings: Embeddings = Field(Embeddings(), description="linear: the encoder")


@dataclass(frozen=True)
class Report:
    """What was trained on what, and how good it is on the held-out examples (pipelines/classifiers/held_out.py)."""

    kind: str
    model: str
    digest: str
    num_bytes: int
    settings: dict[str, Any]
    read: int
    dropped: dict[str, int]
    bad: list[str]
    examples: dict[str, dict[str, int]]  # by side and label
    measures: dict[str, Any]
    calibration: dict[str, Any]
    thresholds: dict[str, Any]
    seconds: dict[str, float]


def train(
    files: Sequence[Path],
    kind: Kind,
    out: Path,
    settings: Training,
    *,
    models: Path | None = None,
    device: str = "cpu",
) -> Report:
    """Train on labelled JSONL (pipelines/classifiers/examples.py), write the model to `out`, and beside it its report.

    The report is `out` with .json, and for people with .md. `models` is where distilled encoders lie. InputError for
    examples that do not suffice, for an unknown `positive`, for an ending that is not the kind's.
    """
    if out.suffix != ENDINGS[kind]:
        raise InputError(f"a {kind} model is written to a file that ends in {ENDINGS[kind]}, not to {out.name}")
    started = time.monotonic()
    examples = read_examples(files, settings.held_out, settings.seed)
    labels = tuple(sorted({example.label for example in examples.kept}))
    positive = known_label(settings.positive, labels, out, "positive") if settings.positive else labels[-1]
    read = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    trained_on, tested_on = examples.of(TRAIN), examples.of(HELD_OUT)
    if kind == "fasttext":
        train_fasttext(trained_on, out, settings)
        trained = time.monotonic()
        model = FastText(out, "train-classifier")
        probabilities = model.distribution([line_of(example.text) for example in tested_on])
        probabilities = np.nan_to_num(probabilities)[:, [model.labels.index(label) for label in labels]]
    else:
        head, probabilities = _linear(trained_on, tested_on, settings, models, device)
        head.save(out)
        trained = time.monotonic()
    report = _report(kind, out, settings, examples, labels, positive, probabilities)
    report.seconds.update(
        read=round(read - started, 2), train=round(trained - read, 2), test=round(time.monotonic() - trained, 2)
    )
    out.with_suffix(".json").write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(told(report), encoding="utf-8")
    return report


# ---------------------------------------------------------------------------------------------------------
# The two kinds


def train_fasttext(examples: Sequence[Example], out: Path, settings: Training) -> None:
    """Write a fastText model (softmax, one thread); an example's weight is rounded to whole repeats, at least one."""
    try:
        import floret  # type: ignore[import-untyped]
    except ImportError:
        raise InputError("fastText models are trained by floret, which is not installed: pip install floret") from None
    with tempfile.TemporaryDirectory(prefix="sirdar-") as folder:
        lines, raw = Path(folder, "lines.txt"), Path(folder, "model.bin")
        with lines.open("w", encoding="utf-8") as file:
            for example in examples:
                repeats = max(1, round(example.weight))
                file.write(f"{LABEL}{example.label} {_unlabelled(line_of(example.text))}\n" * repeats)
        model = floret.train_supervised(
            str(lines), thread=1, loss="softmax", verbose=0, epoch=settings.epochs, lr=settings.learning_rate,
            wordNgrams=settings.word_ngrams, dim=settings.dimensions, bucket=settings.buckets,
            minCount=settings.min_count,
        )  # fmt: skip
        model.save_model(str(raw))
        _write_fasttext(raw, out)


def _unlabelled(line: str) -> str:
    """Words of the text that fastText would take for labels are parted from their mark."""
    return line.replace(LABEL, "__label_ _")


def _write_fasttext(raw: Path, out: Path) -> None:
    """floret's file as fastText's: the header without floret's numbers, the rest as it is."""
    with raw.open("rb") as file:
        header = file.read(HEADER + 8)
        magic, version = struct.unpack_from("<ii", header)
        if (magic, version) != (793712314, 12) or struct.unpack("<ii", header[MODE_AND_HASHES]) != (1, 1):
            raise InputError("this floret writes another format than 0.10's plain mode; install floret 0.10.5")
        with tempfile.NamedTemporaryFile("wb", dir=out.parent, delete=False) as written:
            written.write(header[: MODE_AND_HASHES.start] + header[MODE_AND_HASHES.stop :])
            while block := file.read(1 << 24):
                written.write(block)
    os.chmod(written.name, 0o644)
    os.replace(written.name, out)


def _linear(
    examples: Sequence[Example], tested: Sequence[Example], settings: Training, models: Path | None, device: str
) -> tuple[LinearHead, npt.NDArray[np.float32]]:
    from pipelines.vectors.embed import load

    cache = models or Path.home() / ".cache" / "sirdar" / "models"
    encoder = load(settings.embeddings, cache=cache, device=device)
    head = fit_head(
        encoder.encode([example.text for example in examples]),
        [example.label for example in examples],
        np.array([example.weight for example in examples]),
        penalty=settings.penalty,
        encoder=encoder_identity(settings.embeddings),
    )
    return head, head.probabilities(encoder.encode([example.text for example in tested]))


def fit_head(
    vectors: npt.NDArray[np.float16],
    labels: Sequence[str],
    weights: npt.NDArray[np.float64],
    *,
    penalty: float,
    encoder: str,
) -> LinearHead:
    """Logistic regression by L-BFGS in float64 on one thread; `penalty` is for one example, so data may grow."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    weights = weights / weights.mean()
    with threadpool_limits(1):
        model = LogisticRegression(C=1 / (penalty * len(labels)), max_iter=5000, tol=1e-6)
        model.fit(vectors.astype(np.float64), np.array(labels, str), sample_weight=weights)
    rows, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # sklearn has the second label's row alone
        rows, bias = np.concatenate([np.zeros_like(rows), rows]), np.concatenate([[0.0], bias])
    names = tuple(map(str, model.classes_))
    return LinearHead(names, rows.astype(np.float32), bias.astype(np.float32), encoder)


# ---------------------------------------------------------------------------------------------------------
# Report


def _report(
    kind: str,
    out: Path,
    settings: Training,
    examples: Examples,
    labels: Sequence[str],
    positive: str,
    probabilities: npt.NDArray[np.float32],
) -> Report:
    tested = examples.of(HELD_OUT)
    truth = np.array([example.label for example in tested])
    chosen, right = probabilities[:, list(labels).index(positive)], truth == positive
    sides = {split: Counter(example.label for example in examples.of(split)) for split in (TRAIN, HELD_OUT)}
    return Report(
        kind=kind,
        model=out.name,
        digest=file_digest(out),
        num_bytes=out.stat().st_size,
        settings=settings.model_dump(mode="json", exclude={"embeddings"} if kind == "fasttext" else set()),
        read=examples.read,
        dropped=dict(sorted(examples.dropped.items())),
        bad=examples.bad,
        examples={split: dict(sorted(counts.items())) for split, counts in sides.items()},
        measures=held_out.measures(probabilities, labels, truth.tolist()),
        calibration={"label": positive, **held_out.calibration(chosen, right)},
        thresholds={
            "label": positive,
            "for_precision": held_out.threshold_for_precision(chosen, right, settings.target_precision),
            "for_share": held_out.threshold_for_share(chosen, right, settings.keep_share),
        },
        seconds={},
    )


def told(report: Report) -> str:
    """The report for people, in Markdown."""
    counts = {split: sum(labels.values()) for split, labels in report.examples.items()}
    found, positive = report.measures, report.thresholds["label"]
    lines = [
        f"# {report.model}",
        "",
        f"A {report.kind} classifier of {report.num_bytes:,} bytes, trained on {counts[TRAIN]:,} examples and tested "
        f"on {counts[HELD_OUT]:,} others. Accuracy {found['accuracy']:.4f}; expected calibration error of `{positive}` "
        f"{report.calibration['error']:.4f}.",
        "",
        "| label | trained on | tested on | precision | recall | F1 | ROC-AUC | PR-AUC |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for label, one in found["labels"].items():
        areas = ["" if one[key] is None else f"{one[key]:.4f}" for key in ("roc_auc", "pr_auc")]
        rates = [f"{one[key]:.4f}" for key in ("precision", "recall", "f1")]
        row = [label, f"{report.examples[TRAIN].get(label, 0):,}", f"{one['examples']:,}", *rates, *areas]
        lines.append(f"| {' | '.join(row)} |")
    lines += ["", f"Limits on the probability of `{positive}` (`label`, `min` in `[[scores]]`):", ""]
    for name, goal in (("for_precision", "target_precision"), ("for_share", "keep_share")):
        one = report.thresholds[name]
        asked = f"{goal.replace('_', ' ')} {one[goal]:g}"
        if one["threshold"] is None:
            lines.append(f"- {asked}: not reached at any limit")
        else:
            lines.append(
                f"- {asked}: {one['threshold']:.6g} keeps {one['kept']:.1%} with precision {one['precision']:.4f} and "
                f"recall {one['recall']:.4f}"
            )
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in report.dropped.items() if count) or "none"
    lines += ["", f"Of {report.read:,} lines, left out: {left_out}.", *(f"- {bad}" for bad in report.bad)]
    return "\n".join(lines) + "\n"
