"""One training: a trial and its token pools in, losses (or the model) out.

AdamW with betas 0.9 and 0.95, no weight decay on embeddings and norms, gradients clipped to norm 1. The rate
follows WSD (warmup, stable, decay): linear up, flat, then linear down to nearly 0, D / (D + 1) ... 1 / (D + 1)
of it over the D last steps. float32 on one CPU thread, bfloat16 autocast on CUDA.

The same trial gives bit-equal losses on the same machine, also when it is killed and resumed: weights and
batches follow from the seed alone, nothing is random after the start, and a checkpoint holds all the rest.
"""

import math
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from mixer.proxies.choices import Choices
from mixer.proxies.data import MAX_TOKENS, Evaluation, Tokens, batches, num_steps
from mixer.proxies.evaluate import evaluate
from mixer.proxies.model import Llama
from mixer.proxies.worker import Evaluator
from mixer.trial import Loss, Result, Trial
from pipelines.errors import TrialError
from pipelines.search_settings import Proxy

BETAS = (0.9, 0.95)
CLIP_NORM = 1.0
CHECKPOINT_SECONDS = 60.0
STEPS_PER_CHECK = 20  # of the loss; a NaN stays in the weights, so none is missed, and CUDA waits less


def train(
    trial: Trial,
    *,
    pools: Sequence[Tokens],
    evaluations: Mapping[str, Evaluation | Choices],
    vocabulary: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    max_tokens: int = MAX_TOKENS,
    evaluator: Evaluator | None = None,
) -> Result:
    """Train the trial's proxy and measure it; `max_tokens` of each text, and by `evaluator` as it likes.

    `tokens` and `seconds` of the result are those of training alone, before a kill included. TrialError where
    the loss stops being a number, or the pools cannot serve the schedule.
    """
    with _deterministic(device):
        run = _trained(trial, pools, vocabulary, device, checkpoint, checkpoint_seconds)
        losses = evaluate(run.model, evaluations, max_tokens=max_tokens)
    if not all(math.isfinite(loss.nats) for loss in losses.values()):
        raise _diverged(trial, run.step)
    if evaluator is not None:
        losses = _joined(losses, evaluator(trial, run.model))
    _forget(checkpoint)
    num_tokens = run.step * trial.proxy.batch * trial.proxy.sequence
    return Result(key=trial.key, losses=losses, tokens=num_tokens, seconds=run.seconds)


def train_model(
    trial: Trial,
    *,
    pools: Sequence[Tokens],
    vocabulary: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Llama:
    """The trained proxy itself, the one that `train` measures."""
    with _deterministic(device):
        model = _trained(trial, pools, vocabulary, device, checkpoint, checkpoint_seconds).model
    _forget(checkpoint)
    return model


def rate(proxy: Proxy, step: int, steps: int) -> float:
    """Learning rate of a step (from 0) of `steps`."""
    num_warmup, num_decay = round(proxy.warmup * steps), round(proxy.decay * steps)
    up = (step + 1) / (num_warmup + 1)
    down = (steps - step) / (num_decay + 1)
    return proxy.learning_rate * min(1.0, up, down)


# ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """A training under way: everything that the next step depends on."""

    model: Llama
    optimizer: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0


def _trained(
    trial: Trial,
    pools: Sequence[Tokens],
    vocabulary: int,
    device: str,
    checkpoint: Path | None,
    checkpoint_seconds: float,
) -> _Run:
    proxy = trial.proxy
    steps = num_steps(trial.schedule, sequence=proxy.sequence, batch=proxy.batch)
    run = _started(trial, vocabulary, device)
    if checkpoint is not None:
        _resume(run, trial, checkpoint)
    before, saved = time.perf_counter() - run.seconds, time.perf_counter()
    for ids in batches(
        pools, trial.schedule, sequence=proxy.sequence, batch=proxy.batch, seed=trial.seed, start=run.step
    ):
        loss = _step(run, torch.from_numpy(ids).to(device), rate(proxy, run.step, steps))
        run.step += 1
        if run.step % STEPS_PER_CHECK == 0 and not math.isfinite(loss.item()):
            raise _diverged(trial, run.step)
        if checkpoint is not None and time.perf_counter() - saved >= checkpoint_seconds:
            run.seconds = time.perf_counter() - before
            _save(run, trial, checkpoint)
            saved = time.perf_counter()
    run.seconds = time.perf_counter() - before
    return run


def _started(trial: Trial, vocabulary: int, device: str) -> _Run:
    proxy = trial.proxy
    model = Llama(proxy, vocabulary, seed=trial.seed).to(device)
    decayed = [weight for name, weight in model.named_parameters() if weight.dim() > 1 and name != "embedding"]
    others = [weight for name, weight in model.named_parameters() if weight.dim() < 2 or name == "embedding"]
    groups = [
        {"params": decayed, "weight_decay": proxy.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return _Run(model, torch.optim.AdamW(groups, lr=proxy.learning_rate, betas=BETAS, fused=True))


def _step(run: _Run, ids: torch.Tensor, learning_rate: float) -> torch.Tensor:
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate
    inputs, targets = ids[:, :-1], ids[:, 1:]
    with _precision(ids.device):
        loss = run.model.loss(inputs, targets) / targets.numel()
    run.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), CLIP_NORM)
    run.optimizer.step()
    return loss.detach()


def _precision(device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


@contextmanager
def _deterministic(device: str) -> Iterator[None]:
    """One thread, since sums depend on their number; on CUDA deterministic kernels."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    if device.startswith("cuda"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS has to be told before it starts
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def _joined(ours: Mapping[str, Loss], theirs: Mapping[str, Loss]) -> dict[str, Loss]:
    if taken := sorted(ours.keys() & theirs.keys()):
        raise TrialError(f"the evaluator gives a loss {taken[0]!r}, which the trainer gives too; give it another name")
    return {**ours, **theirs}


def _diverged(trial: Trial, step: int) -> TrialError:
    return TrialError(
        f"trial {trial.key}: the loss is not a number after {step} steps at learning rate "
        f"{trial.proxy.learning_rate:g}; lower proxy.learning_rate"
    )


# ---------------------------------------------------------------------------------------------------------
# Checkpoints


def _save(run: _Run, trial: Trial, path: Path) -> None:
    state = {
        "key": trial.key,
        "step": run.step,
        "seconds": run.seconds,
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unnamed = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    with unnamed.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    unnamed.rename(path)


def _resume(run: _Run, trial: Trial, path: Path) -> None:
    """Put the run where the checkpoint left it; without one that can be read it stays at its start."""
    try:
        state = torch.load(path, map_location=run.model.embedding.device, weights_only=True)
        key = state["key"]
    except Exception:  # absent, or damaged in any way that torch, pickle and zipfile know: costs time only
        return
    if key != trial.key:
        raise TrialError(f"checkpoint {path} is of trial {key}, not {trial.key}; delete it or give another path")
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.step, run.seconds = state["step"], state["seconds"]


def _forget(path: Path | None) -> None:
    """The checkpoint of a finished training, and what kills left of writing it."""
    if path is not None:
        for stale in path.parent.glob(f"{path.name}*"):
            stale.unlink()
