"""A user's own programs: one that trains trials in place of ours, one that measures what ours has trained.

A program is a command line, run once a trial with a path as its last argument; the last line of its standard
output is a JSON object. One that ends with another exit code than 0, or prints something else, costs its trial:
the reason is the last line of its standard error. One that takes longer than its limit is ended with all that it
started, which costs its trial too. No program outlives the process that started it, and nothing that it leaves running
in the background outlives the program, or keeps anybody waiting.
"""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mixer.proxies import guard
from mixer.proxies.trainer import OnResult, failed
from mixer.trial import Loss, Result, Trial
from pipelines.errors import TrialError

if TYPE_CHECKING:
    from mixer.proxies.model import Llama

TAIL_BYTES = 1 << 20  # of what a command prints: an answer is a line of at most that


class Command:
    """A command line that runs any number of times at once; `end` ends all of them, and refuses new ones.

    One that runs for more than `max_minutes` is ended, and its `run` is a TrialError; 0: none is.
    """

    def __init__(self, words: Sequence[str], *, max_minutes: float = 0.0) -> None:
        self.words, self.max_minutes = tuple(words), max_minutes
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False
        self._lock = threading.Lock()

    def run(self, path: Path, text: str = "") -> str:
        """The last line that it prints, given a path and, as its standard input, `text`; TrialError if it fails."""
        # Files, not pipes, whose other end may be held for hours; and any length is kept off memory.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
            given.write(text.encode())
            given.seek(0)
            with self._lock:
                if self._ended:
                    raise TrialError(f"{self.words[0]} was ended")
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *self.words, str(path)],
                    stdin=given,
                    stdout=out,
                    stderr=said,
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                code = process.wait(60 * self.max_minutes or None)
            except subprocess.TimeoutExpired:
                _end(process)
                process.wait()
                raise TrialError(
                    f"{self.words[0]} was ended after {self.max_minutes:g} minutes, search.max_program_minutes; raise"
                    f" that if it was not stuck. The last it said: {_last_line(said)}"
                ) from None
            except BaseException:
                _end(process)
                raise
            finally:
                self._running.discard(process)
            if code:
                ended = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise TrialError(f"{self.words[0]} ended with {ended}: {_last_line(said)}")
            return _last_line(out)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            for process in tuple(self._running):
                _end(process)


class CommandTrainer:
    """Trains by a user's command, `workers` trials at once.

    The path is that of a JSON file, which also is the command's standard input: the trial (`Trial.to_json`), its
    `key`, and `context`, which says where the token pools and held-out texts lie (handover.py). The answer is
    {"losses": {name: {"nats": x, "bits_per_byte": y}}}, of a task maybe with `accuracy` and `accuracy_norm`, and maybe
    `tokens`, `seconds`, `error`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        context: Mapping[str, Any] | None = None,
        workers: int = 1,
        max_minutes: float = 0.0,
    ) -> None:
        self.words, self.context, self.num_workers = tuple(command), dict(context or {}), workers
        self.max_minutes = max_minutes
        self._command = Command(command, max_minutes=max_minutes)
        self.peak_bytes = 0  # not known: its processes are the user's own

    def train(self, trials: Sequence[Trial], on_result: OnResult) -> None:
        self._command = Command(self.words, max_minutes=self.max_minutes)
        executor = ThreadPoolExecutor(self.num_workers)
        try:
            pending = {executor.submit(self._trained, trial) for trial in trials}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    on_result(future.result())
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            self.close()
            executor.shutdown()

    def close(self) -> None:
        """End the commands that still run."""
        self._command.end()

    def _trained(self, trial: Trial) -> Result:
        text = json.dumps({"key": trial.key, **trial.to_json(), "context": self.context})
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="sirdar-trial-") as folder:
            path = Path(folder) / "trial.json"
            path.write_text(text, encoding="utf-8")
            try:
                line = self._command.run(path, text)
                return _result(trial, _object(line), time.perf_counter() - started)
            except TrialError as error:
                return failed(trial, str(error))


@dataclass(frozen=True, slots=True)
class CommandEvaluator:
    """Measures a trained proxy by a user's command; plain values, since it travels to training processes.

    The path is that of a `transformers` folder (`AutoModelForCausalLM`, `AutoTokenizer`) with `trial.json` in it:
    the trial, its `key`, and `split`, `search` or `final`. The answer is {name: loss}, lower being better.
    """

    command: tuple[str, ...]
    tokenizer: bytes  # tokenizer.json
    split: str
    max_minutes: float = 0.0

    def __call__(self, trial: Trial, model: "Llama") -> dict[str, Loss]:
        from mixer.proxies.checkpoint import write_checkpoint

        with tempfile.TemporaryDirectory(prefix="sirdar-proxy-") as name:
            folder = Path(name)
            write_checkpoint(folder, model, self.tokenizer)
            told = {"key": trial.key, **trial.to_json(), "split": self.split}
            (folder / "trial.json").write_text(json.dumps(told), encoding="utf-8")
            answer = _object(Command(self.command, max_minutes=self.max_minutes).run(folder))
        if not answer:
            raise TrialError(f"{self.command[0]} printed an object without a loss")
        # A loss of one's own program has no bytes to be spread over.
        return {name: Loss(_number(loss, f"the loss {name!r}"), math.nan) for name, loss in answer.items()}


# ---------------------------------------------------------------------------------------------------------


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the guard's whole group."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _last_line(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "(it printed nothing)")


def _object(line: str) -> dict[str, Any]:
    """A command's answer; TrialError where it is no JSON object."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TrialError(f"the command's last line is no result ({error!r:.80}): {line[:200]}") from None
    if not isinstance(answer, dict):
        raise TrialError(f"the command's last line is no result (not an object): {line[:200]}")
    return answer


def _result(trial: Trial, answer: Mapping[str, Any], seconds: float) -> Result:
    key, losses, error = answer.get("key", trial.key), answer.get("losses", {}), answer.get("error", "")
    if key != trial.key:
        raise TrialError(f"the command answered for trial {key}, not {trial.key}")
    if error:
        return failed(trial, str(error))
    if not losses or not isinstance(losses, dict):
        raise TrialError(f"the command's last line has no losses: {json.dumps(answer)[:200]}")
    return Result(
        key=trial.key,
        losses={name: _loss(name, loss) for name, loss in losses.items()},
        tokens=int(_number(answer.get("tokens", trial.schedule.tokens), "tokens")),
        seconds=_number(answer.get("seconds", seconds), "seconds"),
    )


def _loss(name: str, values: Any) -> Loss:
    if not isinstance(values, dict) or "nats" not in values:
        raise TrialError(f"the loss {name!r} is {values!r:.80}; write {{'nats': x, 'bits_per_byte': y}}")
    what = f"the loss {name!r}"
    bits = values.get("bits_per_byte")
    found = Loss(_number(values["nats"], what), math.nan if bits is None else _number(bits, f"{what}, bits_per_byte,"))
    shares = {key: values[key] for key in ("accuracy", "accuracy_norm") if values.get(key) is not None}
    for key, share in shares.items():
        if not 0 <= _number(share, f"{what}, {key},") <= 1:
            raise TrialError(f"{what}, {key}, is {share}, no share from 0 to 1; the command answered that")
    return replace(found, **shares)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        raise TrialError(f"{what} is {value!r:.80}, not a finite number; the command answered that")
    return float(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False
