"""A pool of spawned processes that heals itself and never outlives its parent.

A killed worker costs its unit of work one more try; a unit that kills its worker again and again is run
alone, and named when it does so once more. Children poll their parent's pid: the kernel's parent-death
signal fires when the *thread* that started the child ends, which need not be the main one.
"""

import atexit
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pipelines.errors import WorkerError

TRIES = 3  # in company; then once alone
POLL_SECONDS = 0.5

_shared: dict[int, "Pool"] = {}


class Pool:
    """`run(task, items, done)` on `workers` processes; with one worker, in this process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def run(self, task: Callable[[str], Any], items: Sequence[str], done: Callable[[str, Any], None]) -> None:
        if self.workers == 1:
            for item in items:
                done(item, task(item))
            return
        try:
            self._run(task, deque(items), done)
        except BaseException:
            self._kill()  # else units would go on after the caller has given its lease back, and Ctrl-C wait for them
            raise

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _run(self, task: Callable[[str], Any], waiting: deque[str], done: Callable[[str, Any], None]) -> None:
        broken: Counter[str] = Counter()
        flying: dict[Future[Any], str] = {}
        while waiting or flying:
            # Only as many in flight as there are workers, so that a broken pool points at few suspects.
            while waiting and len(flying) < self.workers and broken[waiting[0]] < TRIES:
                self._launch(task, waiting.popleft(), flying)
            if not flying:
                self._launch(task, waiting.popleft(), flying)  # a suspect, alone
            landed, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in landed:
                item = flying.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    self._blame([item, *flying.values()], broken)
                    waiting.extend([item, *flying.values()])
                    flying.clear()
                    break
                done(item, result)

    def _kill(self) -> None:
        processes = list((self._executor._processes or {}).values()) if self._executor else []
        self.close()
        for process in processes:
            process.kill()

    def _launch(self, task: Callable[[str], Any], item: str, flying: dict[Future[Any], str]) -> None:
        try:
            future = self._started().submit(task, item)
        except BrokenProcessPool:  # a worker died while it had nothing to do
            self.close()
            future = self._started().submit(task, item)
        flying[future] = item

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_settle,
                initargs=(os.getpid(),),
            )
        return self._executor

    def _blame(self, suspects: list[str], broken: Counter[str]) -> None:
        self.close()
        broken.update(suspects)
        for item in suspects:
            if broken[item] > TRIES:
                raise WorkerError(
                    f"{item}: its worker process died {broken[item]} times, the last time alone "
                    "(out of memory, or a crash in a library); look at that input, or give it more memory"
                )


def shared_pool(workers: int) -> Pool:
    """One pool a process and size: starting a worker costs seconds of imports, so it serves all stages."""
    count = workers or os.cpu_count() or 1
    if count not in _shared:
        if not _shared:
            atexit.register(close_all)
        _shared[count] = Pool(count)
    return _shared[count]


def close_all() -> None:
    for pool in _shared.values():
        pool.close()


def _settle(parent: int) -> None:
    """A child's first act: one thread for maths, Ctrl-C left to the parent, and an eye on the parent."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch_parent, args=(parent,), daemon=True).start()


def watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
