import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import mixer.proxies.trainer as trainer_module
from mixer.proxies.data import Evaluation
from mixer.proxies.trainer import ProcessTrainer, Trainer
from mixer.trial import Result, Schedule, Trial
from pipelines.errors import InputError, SirdarError, WorkerError
from pipelines.search_settings import Proxy

PROXY = Proxy(layers=1, width=16, heads=2, sequence=16, batch=4)
VOCABULARY = 64
POOLS = [np.random.default_rng(bucket).integers(0, VOCABULARY, 3000).astype(np.uint16) for bucket in (0, 1)]
EVALUATIONS = {
    "one": Evaluation(POOLS[0][:300], 900),
    "all": Evaluation.macro([Evaluation(pool[-200:], 600) for pool in POOLS]),
}


def trial(index: int, *, tokens: int = 2000, weights: tuple[float, ...] = (0.5, 0.5), rate: float = 3e-3) -> Trial:
    proxy = PROXY.model_copy(update={"learning_rate": rate})
    return Trial(Schedule.static(weights, tokens), proxy, index, "data", round=1, index=index)


def collect(trainer: Trainer, trials: Sequence[Trial]) -> dict[str, Result]:
    results: list[Result] = []
    trainer.train(trials, results.append)
    assert len(results) == len(trials)
    return {result.key: result for result in results}


def process_trainer(*, workers: int = 2, **arguments: object) -> ProcessTrainer:
    return ProcessTrainer(
        POOLS,
        EVALUATIONS,
        vocabulary=VOCABULARY,
        workers=workers,
        device="cpu",
        **arguments,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def trainer() -> object:
    with process_trainer() as started:
        yield started


def alive(pid: int) -> bool:
    """Whether the process still does anything: a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---------------------------------------------------------------------------------------------------------
# Processes


def test_results_are_those_of_training_here(trainer: ProcessTrainer) -> None:
    from mixer.proxies.train import train

    trials = [trial(index) for index in range(5)]
    results = collect(trainer, trials)
    for which in trials:
        here = train(which, pools=POOLS, evaluations=EVALUATIONS, vocabulary=VOCABULARY)
        assert results[which.key].losses == here.losses
        assert results[which.key].tokens == here.tokens


def test_children_live_on_between_calls(trainer: ProcessTrainer) -> None:
    collect(trainer, [trial(20), trial(21)])
    before = [worker._process.pid for worker in trainer._workers]
    assert len(set(before)) == 2
    assert all(map(alive, before))
    collect(trainer, [trial(22), trial(23), trial(24)])
    assert [worker._process.pid for worker in trainer._workers] == before
    trainer.train([], pytest.fail)


def test_failed_trials_are_results_beside_the_others(trainer: ProcessTrainer) -> None:
    good, bad = trial(30), trial(31, rate=1e20)
    unserved = trial(32, weights=(0.2, 0.3, 0.5))
    results = collect(trainer, [bad, good, unserved])
    assert not results[good.key].failed
    assert "not a number" in results[bad.key].error
    assert "2 token pools for 3 weights" in results[unserved.key].error


def test_killed_once_is_trained_after_all(trainer: ProcessTrainer) -> None:
    trials, seen = [trial(index) for index in range(40, 46)], []

    def kill_another(result: Result) -> None:
        seen.append(result)
        if len(seen) == 1:
            busy = [worker for worker in trainer._workers if worker.trial is not None]
            os.kill(busy[0]._process.pid, signal.SIGKILL)

    trainer.train(trials, kill_another)
    assert sorted(result.key for result in seen) == sorted(which.key for which in trials)
    assert not any(result.failed for result in seen)


STUB = """
import os, sys, time
sys.path[:] = {path!r}
from multiprocessing.connection import Connection
from mixer.trial import Result
connection = Connection({descriptor})
connection.recv()
connection.send("ready")
while True:
    trial = connection.recv()
    if trial.seed == 666:
        os.kill(os.getpid(), 9)
    connection.send(Result(trial.key, {{}}, trial.seed, 0.0))
"""


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that load no torch, train nothing, and die of seed 666."""
    monkeypatch.setattr(
        trainer_module,
        "command_line",
        lambda descriptor: [sys.executable, "-c", STUB.format(path=sys.path, descriptor=descriptor)],
    )


@pytest.mark.usefixtures("light")
def test_trial_that_kills_its_child_twice_fails_alone() -> None:
    deadly, others = trial(666), [trial(index) for index in range(8)]
    with process_trainer() as trainer:
        results = collect(trainer, [*others[:3], deadly, *others[3:]])
    assert "signal 9, 2 times" in results[deadly.key].error
    assert [results[which.key].tokens for which in others] == list(range(8))


@pytest.mark.usefixtures("light")
def test_error_in_the_callers_own_code_ends_the_children() -> None:
    pids: list[int] = []
    with process_trainer() as trainer:

        def full_disk(_: Result) -> None:
            pids.extend(worker._process.pid for worker in trainer._workers)
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            trainer.train([trial(1), trial(2)], full_disk)
        assert pids
        assert not any(map(alive, pids))
        assert len(collect(trainer, [trial(3)])) == 1  # and it can go on with new ones


@pytest.mark.usefixtures("light")
def test_no_more_children_than_trials() -> None:
    with process_trainer(workers=50) as trainer:
        collect(trainer, [trial(1), trial(2)])
        assert len(trainer._workers) == 2


def test_broken_start_is_told_not_retried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "command_line", lambda _: [sys.executable, "-S", "-c", "raise SystemExit(3)"])
    with process_trainer() as trainer, pytest.raises(WorkerError, match="exit code 3 before it was ready"):
        collect(trainer, [trial(1)])


SCRIPT = """
import sys
sys.path[:] = {path!r}
import numpy as np
from test_trainer import EVALUATIONS, VOCABULARY, trial
from mixer.proxies.trainer import ProcessTrainer
pools = [np.memmap({folder!r} + name, np.uint16, "r") for name in ("/0.bin", "/1.bin")]
# At the top of the main module, with no guard, read from standard input:
trainer = ProcessTrainer(pools, EVALUATIONS, vocabulary=VOCABULARY, workers=1, device="cpu")
assert len(repr(trainer._assignment.pools)) < 500
trainer.train([trial(1)], lambda result: print(result.losses["one"].nats))
print("pid", trainer._workers[0]._process.pid, flush=True)
trainer.train([trial(2, tokens=50_000_000)], print)
"""


def test_child_ends_with_a_killed_parent_needs_no_main_guard_and_opens_files(
    tmp_path: Path, trainer: ProcessTrainer
) -> None:
    for bucket, pool in enumerate(POOLS):
        pool.tofile(tmp_path / f"{bucket}.bin")
    code = SCRIPT.format(path=[str(Path(__file__).parent), *sys.path], folder=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin
    assert parent.stdout
    parent.stdin.write(code)
    parent.stdin.close()
    loss, child = parent.stdout.readline(), int(parent.stdout.readline().split()[1])
    assert float(loss) == collect(trainer, [trial(1)])[trial(1).key].losses["one"].nats
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.1)
    pytest.fail("the child lives on")


def test_error_that_is_not_a_trials_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    import mixer.proxies.train
    from mixer.proxies.worker import Assignment, _outcome

    def raising(error: Exception) -> Result | SirdarError:
        def train(*_: object, **__: object) -> Result:
            raise error

        monkeypatch.setattr(mixer.proxies.train, "train", train)
        return _outcome(trial(1), Assignment.of(POOLS, {}, VOCABULARY, "cpu", None, 100), POOLS, {})

    assert isinstance(raising(InputError("pool gone")), InputError)
    memory = raising(MemoryError("no more"))
    assert isinstance(memory, Result)
    assert memory.error == "MemoryError: no more"


def test_each_trial_has_a_checkpoint_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import mixer.proxies.train
    from mixer.proxies.worker import Assignment, _outcome

    asked: list[object] = []
    monkeypatch.setattr(mixer.proxies.train, "train", lambda _, **arguments: asked.append(arguments["checkpoint"]))
    for which in (trial(1), trial(2)):
        _outcome(which, Assignment.of(POOLS, {}, VOCABULARY, "cpu", tmp_path, 100), POOLS, {})
    assert asked == [tmp_path / f"{trial(1).key}.pt", tmp_path / f"{trial(2).key}.pt"]


def test_loading_a_trainer_loads_no_torch() -> None:
    code = "import sys, mixer.proxies.trainer, mixer.proxies.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
