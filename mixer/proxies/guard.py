"""Runs a user's command and ends with it, or ends it: no program outlives the process that asked for it.

Started as `python -I -S guard.py PARENT COMMAND...`, the leader of a new group of processes, so that one signal
to the group ends the command with all that it started. What a command has left in the background when it ends is
told to end too. The standard library alone: it starts once a trial.
"""

import os
import signal
import subprocess
import sys
import threading
import time

POLL_SECONDS = 0.5
NOT_RUN = 127  # a shell's exit code for a command that it cannot run


def main(parent: int, command: list[str]) -> int:
    """The command's exit code; the same signal as ended the command ends this process."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    try:
        code = subprocess.call(command)
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return NOT_RUN
    _end_the_rest()
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


def _end_the_rest() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
