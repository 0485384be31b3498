"""Runs the corpus half of a workspace in children that are killed, -9, until one ends. Not a test file.

    python tests/killed.py WORKSPACE SEED

Every other child kills itself just before or after some file gets its final name; the others are killed by
the clock. They are forks, so that the imports of a stage are paid once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import made_corpus

from pipelines import beam, fitting, pooling, stages, tokens  # noqa: F401
from pipelines.store import Workspace
from pipelines.vectors import cluster, embed, names  # noqa: F401

MOST_KILLS = 60


def run(root: str, writes: int, after: bool) -> None:
    """The job in a child; with `writes`, it ends by its own hand at that many renames."""
    rename = Path.replace
    done = 0

    def renamed(self: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done == writes and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        moved = rename(self, target)
        if done == writes:
            os.kill(os.getpid(), signal.SIGKILL)
        return moved

    Path.replace = renamed  # type: ignore[method-assign, assignment]
    made_corpus.run_corpus(made_corpus.opened(Workspace(root)))


def main(root: str, seed: int) -> None:
    chance = random.Random(seed)
    kills = {"by_timer": 0, "at_a_write": 0}
    for number in range(MOST_KILLS):
        timed = bool(number % 2)
        writes, after = (0 if timed else chance.randint(1, 16)), chance.random() < 0.5
        child = os.fork()
        if not child:
            try:
                run(root, writes, after)
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        if timed:
            time.sleep(chance.uniform(0.05, 0.8))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                sys.exit("a child failed")
            break
        kills["by_timer" if timed else "at_a_write"] += 1
    print(json.dumps(kills))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
