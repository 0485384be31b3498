"""A trainer's child process: keeps torch loaded and trains one trial after another for its parent.

Started as a plain subprocess, not by `multiprocessing`, which would run the caller's main module again: so any
script, a shell's standard input included, may train. It ends with its parent, whatever ends that.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixer.proxies.choices import Choices
from mixer.proxies.data import Evaluation, TokenFile, Tokens, by_name, opened
from mixer.trial import Loss, Result, Trial
from pipelines.errors import SirdarError, TrialError

if TYPE_CHECKING:
    from mixer.proxies.model import Llama

POLL_SECONDS = 0.5
READY = "ready"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Packed = tuple[TokenFile | Tokens, int, tuple[Any, ...]] | Choices  # an evaluation, its groups packed alike
Evaluator = Callable[[Trial, "Llama"], Mapping[str, Loss]]  # further losses of a trained proxy; it is pickled


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker needs besides trials. Token files travel by name."""

    pools: tuple[TokenFile | Tokens, ...]
    evaluations: dict[str, Packed]
    vocabulary: int
    device: str
    checkpoints: Path | None
    max_tokens: int
    evaluator: Evaluator | None = None

    @classmethod
    def of(
        cls,
        pools: Sequence[Tokens],
        evaluations: Mapping[str, Evaluation | Choices],
        vocabulary: int,
        device: str,
        checkpoints: Path | None,
        max_tokens: int,
        evaluator: Evaluator | None = None,
    ) -> "Assignment":
        named = tuple(by_name(pool) for pool in pools)
        packed = {name: _packed(evaluation) for name, evaluation in evaluations.items()}
        return cls(named, packed, vocabulary, device, checkpoints, max_tokens, evaluator)


def command_line(descriptor: int) -> list[str]:
    """How the parent starts one: with its own import path, so both find the same code."""
    path = [entry or os.getcwd() for entry in sys.path]
    boot = (
        f"import sys; sys.path[:] = {path!r}; from mixer.proxies.worker import main; main({descriptor}, {os.getpid()})"
    )
    return [sys.executable, "-c", boot]


def main(descriptor: int, parent: int) -> None:
    """Serve the parent over an inherited socket until it closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its children
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    connection = Connection(descriptor)
    try:
        assignment = connection.recv()
        import mixer.proxies.train  # noqa: F401  8 s, before the first trial is blamed for it

        pools = tuple(opened(pool) for pool in assignment.pools)
        evaluations = {name: _unpacked(packed) for name, packed in assignment.evaluations.items()}
        connection.send(READY)
        while True:
            connection.send(_outcome(connection.recv(), assignment, pools, evaluations))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _outcome(
    trial: Trial, assignment: Assignment, pools: Sequence[Tokens], evaluations: Mapping[str, Evaluation | Choices]
) -> Result | SirdarError:
    """The result, or an error that is not the trial's own and ends the whole training."""
    from mixer.proxies.train import train

    folder = assignment.checkpoints
    try:
        return train(
            trial,
            pools=pools,
            evaluations=evaluations,
            vocabulary=assignment.vocabulary,
            device=assignment.device,
            checkpoint=folder / f"{trial.key}.pt" if folder else None,
            max_tokens=assignment.max_tokens,
            evaluator=assignment.evaluator,
        )
    except TrialError as error:
        return Result(key=trial.key, losses={}, tokens=0, seconds=0.0, error=str(error))
    except SirdarError as error:
        return error
    except Exception as error:  # out of memory, a crash in a kernel: this trial's own
        traceback.print_exc()
        return Result(key=trial.key, losses={}, tokens=0, seconds=0.0, error=f"{type(error).__name__}: {error}")


def _packed(evaluation: Evaluation | Choices) -> Packed:
    if isinstance(evaluation, Choices):
        return evaluation
    return by_name(evaluation.tokens), evaluation.num_bytes, tuple(map(_packed, evaluation.groups))


def _unpacked(packed: Packed) -> Any:
    if isinstance(packed, Choices):
        return packed
    tokens, num_bytes, groups = packed
    return Evaluation(opened(tokens), num_bytes, tuple(map(_unpacked, groups)))


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
