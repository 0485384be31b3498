"""The pool of processes: it survives its workers, names the unit that kills them, and dies with its parent."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from interrupts import interruptible

from pipelines import workers
from pipelines.errors import InputError, WorkerError
from pipelines.workers import Pool

ITEMS = [f"unit-{number}" for number in range(8)]


@pytest.fixture(scope="module")
def two() -> Iterator[Pool]:
    pool = Pool(2)
    yield pool
    pool.close()


def ran(pool: Pool, task: Any, items: list[str]) -> dict[str, Any]:
    found: list[tuple[str, Any]] = []
    pool.run(task, items, lambda item, result: found.append((item, result)))
    assert len(found) == len({item for item, _ in found}), "a unit is done once"
    return dict(found)


def lengthened(item: str) -> str:
    return item + item


def deadly_once(folder: str, item: str) -> str:
    flag = Path(folder) / item
    if item == "unit-3" and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return lengthened(item)


def deadly(folder: str, item: str) -> str:
    with (Path(folder) / item).open("a") as file:
        file.write("x")
    if item == "unit-3":
        os._exit(9)
    return lengthened(item)


def refusing(item: str) -> str:
    if item == "unit-3":
        raise InputError("this one is broken")
    return item


def settled(_: str) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "threads": os.environ["OMP_NUM_THREADS"],
        "interrupt": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
    }


def test_order_and_number_of_workers_do_not_matter(two: Pool) -> None:
    shuffled = random.Random(1).sample(ITEMS, len(ITEMS))
    expected = {item: item + item for item in ITEMS}
    assert ran(two, lengthened, ITEMS) == ran(two, lengthened, shuffled) == ran(Pool(1), lengthened, ITEMS) == expected
    assert ran(two, lengthened, []) == {}


def test_one_worker_is_this_process() -> None:
    assert ran(Pool(1), _pid, ["a"]) == {"a": os.getpid()}


def _pid(_: str) -> int:
    return os.getpid()


def test_workers_use_one_thread_and_leave_the_interrupt_to_the_parent(two: Pool) -> None:
    found = ran(two, settled, ITEMS).values()
    assert os.getpid() not in {one["pid"] for one in found}
    assert all((one["threads"], one["interrupt"]) == ("1", True) for one in found)


def test_the_unit_of_a_killed_worker_is_done_again(two: Pool, tmp_path: Path) -> None:
    assert ran(two, partial(deadly_once, str(tmp_path)), ITEMS) == {item: item + item for item in ITEMS}
    assert (tmp_path / "unit-3").exists()


def test_a_worker_killed_while_it_waits_is_replaced(two: Pool) -> None:
    ran(two, lengthened, ITEMS)
    assert two._executor is not None
    for pid in list(two._executor._processes):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    assert ran(two, lengthened, ITEMS) == {item: item + item for item in ITEMS}


def test_a_unit_that_always_kills_is_named_after_its_tries(two: Pool, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=rf"^unit-3: its worker process died {workers.TRIES + 1} times"):
        ran(two, partial(deadly, str(tmp_path)), ITEMS)
    assert len((tmp_path / "unit-3").read_text()) == workers.TRIES + 1
    # Its neighbours were not taken for it. One that was sent with it each time may not have begun when it died.
    assert sum(not (tmp_path / item).exists() for item in ITEMS) <= 1


def test_an_error_comes_out_as_it_was_raised(two: Pool) -> None:
    for some in (two, Pool(1)):
        with pytest.raises(InputError, match="this one is broken"):
            ran(some, refusing, ITEMS)
    assert ran(two, lengthened, ITEMS[:2]) == {item: item + item for item in ITEMS[:2]}


def test_nothing_goes_on_after_an_error(two: Pool, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="after the first"):
        ran(two, partial(long_or_refusing, str(tmp_path)), ["first", "second"])
    pid = int((tmp_path / "first").read_text())
    deadline = time.monotonic() + 3
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)
    assert ran(two, lengthened, ITEMS[:2]) == {item: item + item for item in ITEMS[:2]}


def long_or_refusing(folder: str, item: str) -> None:
    place = Path(folder) / "first"
    if item == "first":
        place.write_text(str(os.getpid()))
        time.sleep(60)
    while not place.exists():
        time.sleep(0.02)
    raise InputError("after the first")


def test_an_interrupt_does_not_wait_for_the_units_that_run(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(_command(script), env=_environment(), text=True, preexec_fn=interruptible, **QUIET) as parent:  # type: ignore[call-overload]
        children = [int(parent.stdout.readline()) for _ in range(2)]
        os.kill(parent.pid, signal.SIGINT)
        parent.wait(timeout=5)  # the units would take 120 s
        assert not any(map(_alive, children))


QUIET = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}


def _command(script: Path) -> list[str]:
    return [sys.executable, str(script), str(Path(__file__).parent)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_workers import forever
from pipelines.workers import Pool

if __name__ == "__main__":
    Pool(2).run(forever, ["a", "b"], print)
"""


def forever(item: str) -> None:
    os.write(1, f"{os.getpid()}\n".encode())  # at once: two children write
    time.sleep(120)


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(_command(script), env=_environment(), text=True, **QUIET) as parent:  # type: ignore[call-overload]
        children = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(_alive(child) for child in children)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 10 * workers.POLL_SECONDS
        while any(map(_alive, children)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(_alive, children))


def _alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
