"""Many trainings: a trainer takes trials and hands over each result as it finishes, in any order.

On a CPU one process a core, one thread and one trial each: batching proxies brings nothing there. On CUDA one
process, trials in sequence. A user's own trainer is a command (external.py). What becomes of a trial never
depends on which process trained it, or on how many there are.
"""

import os
import subprocess
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing import connection as pipes
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from mixer.proxies.choices import Choices
from mixer.proxies.data import MAX_TOKENS, Evaluation, Tokens
from mixer.proxies.worker import READY, THREADS, Assignment, Evaluator, command_line
from mixer.trial import Result, Trial
from pipelines.errors import SirdarError, WorkerError

OnResult = Callable[[Result], None]

TRIES = 2  # of a trial whose process is killed
MAX_STILLBORN = 4  # processes that ended before they were ready, with none ready in between
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # without one of them asking torch (8 s) is pointless


class Trainer(Protocol):
    """Trains every trial; a failed one is a result with its `error`, not an exception.

    One call may train trials one by one, in processes, or all as one model: callers rely on no order.
    """

    def train(self, trials: Sequence[Trial], on_result: OnResult) -> None: ...


class ProcessTrainer:
    """Trains in child processes, which stay alive between calls: use it as a context manager.

    `workers` 0: one per core, on CUDA always one. With a folder `checkpoints`, trainings of over a minute
    continue where they were killed. An `evaluator` measures each trained proxy too. A child that is killed costs
    its trial one more try, then the trial is a failed result; any error of this program but a trial's own is
    raised. Children end when this process does.
    """

    def __init__(
        self,
        pools: Sequence[Tokens],
        evaluations: Mapping[str, Evaluation | Choices],
        *,
        vocabulary: int,
        workers: int = 0,
        device: str = "auto",
        checkpoints: Path | None = None,
        max_tokens: int = MAX_TOKENS,
        evaluator: Evaluator | None = None,
    ) -> None:
        device = resolved_device(device)
        self.num_workers = 1 if device.startswith("cuda") else workers or num_cores()
        self._assignment = Assignment.of(pools, evaluations, vocabulary, device, checkpoints, max_tokens, evaluator)
        self._workers: list[_Worker] = []
        self._num_stillborn = 0
        self.peak_bytes = 0  # resident, of the largest process so far; 0: not known

    def train(self, trials: Sequence[Trial], on_result: OnResult) -> None:
        waiting, tries = deque(trials), Counter[str]()
        try:
            while waiting or any(worker.trial for worker in self._workers):
                self._staff(len(waiting))
                for worker in self._workers:
                    if worker.ready and worker.trial is None and waiting:
                        worker.begin(waiting.popleft())
                for worker in _heard(self._workers):
                    self._hear(worker, waiting, tries, on_result)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the children, in the middle of a trial too."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _staff(self, num_waiting: int) -> None:
        """As many workers as there is work for, in all at most `num_workers`."""
        num_busy = sum(worker.trial is not None for worker in self._workers)
        wanted = min(self.num_workers, num_busy + num_waiting)
        while len(self._workers) < wanted:
            self._workers.append(_Worker(self._assignment))

    def _hear(self, worker: "_Worker", waiting: deque[Trial], tries: Counter[str], on_result: OnResult) -> None:
        message = worker.heard()
        if message is None:
            self._workers.remove(worker)
            self._bury(worker, waiting, tries, on_result)
        elif message == READY:
            worker.ready, self._num_stillborn = True, 0
        elif isinstance(message, SirdarError):
            raise message
        else:
            worker.trial = None
            self.peak_bytes = max(self.peak_bytes, worker.peak_bytes())
            on_result(message)

    def _bury(self, worker: "_Worker", waiting: deque[Trial], tries: Counter[str], on_result: OnResult) -> None:
        code, trial = worker.end(), worker.trial
        if not worker.ready:
            self._num_stillborn += 1
            if self._num_stillborn >= MAX_STILLBORN:
                raise WorkerError(
                    f"a training process ended with {_told(code)} before it was ready, {MAX_STILLBORN} times in "
                    f"a row; what it printed says why (a broken installation, or no memory)"
                )
        elif trial is not None:
            tries[trial.key] += 1
            if tries[trial.key] < TRIES:
                waiting.appendleft(trial)
            else:
                on_result(failed(trial, f"its process ended with {_told(code)}, {TRIES} times (out of memory?)"))


def failed(trial: Trial, error: str) -> Result:
    return Result(key=trial.key, losses={}, tokens=0, seconds=0.0, error=error)


def resolved_device(device: str) -> str:
    """`auto` as `cuda` where torch can use one, else as `cpu`."""
    if device != "auto":
        return device
    if not any(Path(path).exists() for path in GPU_DEVICES):
        return "cpu"
    import torch  # 8 s

    return "cuda" if torch.cuda.is_available() else "cpu"


# ---------------------------------------------------------------------------------------------------------


class _Worker:
    """The parent's side of one child process."""

    def __init__(self, assignment: Assignment) -> None:
        self.ready = False
        self.trial: Trial | None = None
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                command_line(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **dict.fromkeys(THREADS, "1")},
            )
        self._send(assignment)

    def begin(self, trial: Trial) -> None:
        self.trial = trial
        self._send(trial)

    def heard(self) -> Any:
        """The child's next message; None when it has died."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            return None

    def peak_bytes(self) -> int:
        """Peak resident bytes; 0 where the kernel does not tell (it is not Linux).

        Not getrusage, which counts what the parent had when the child was forked from it.
        """
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except OSError:
            return 0  # another system, or it has just ended
        return max((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), default=0)

    def end(self) -> int:
        """Stop it for good; the exit code, its own where it was dead already."""
        self.connection.close()
        self._process.kill()
        return self._process.wait()

    def _send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has died; `heard` tells


def _heard(workers: Sequence[_Worker]) -> list[_Worker]:
    """Wait for messages, or deaths; whose they are."""
    audible = set(map(id, pipes.wait([worker.connection for worker in workers])))
    return [worker for worker in workers if id(worker.connection) in audible]


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
