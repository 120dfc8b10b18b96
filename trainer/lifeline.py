"""Start a program that does not outlive its parent: `python -m trainer.lifeline PARENT_PID NICE PROGRAM ARGUMENT...`

Linux sends SIGKILL when the thread that started a process ends (prctl(2), PR_SET_PDEATHSIG); exec keeps that setting. It is
asked for here, in a process of its own, because running Python between fork and exec of a threaded supervisor can deadlock.
The niceness makes the bot, and whoever else answers people on this machine, go first.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the program, unless the parent is gone already."""
    parent, nice, *program = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before the signal was asked for
        sys.exit(1)
    os.nice(int(nice))
    os.execvp(program[0], program)  # noqa: S606  # becoming the program is the purpose; the list is the supervisor's own


if __name__ == "__main__":
    main(sys.argv[1:])
