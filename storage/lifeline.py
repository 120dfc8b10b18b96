"""Programs that do not outlive whoever started them: bot and worker under `lorasmith up`, the decoder, the GPU child, the demo.

Linux sends a process a signal when the thread that started it ends: prctl(2), PR_SET_PDEATHSIG; exec keeps that setting. It is
asked for by this file, run as a process of its own that then becomes the program, because running Python between fork and
exec of a threaded process can deadlock. Elsewhere the call does not exist: there a closed pipe, or its own lease, ends a
program. Only the standard library is imported, so that this file runs by path, without site-packages.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""<linux/prctl.h>"""


def tied(program: Sequence[str], *, ends_by: int, nice: int = 0) -> tuple[str, ...]:
    """The command line that runs `program` so that it gets the signal `ends_by` when its starter ends.

    `nice` says by how much everybody else on this machine goes first. On Windows, where a process cannot become another
    program, the program itself is given back.
    """
    if sys.platform == "win32":
        return tuple(program)
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(ends_by)), str(nice), *program)


def end_with_parent(ends_by: int) -> None:
    """From now on this process gets that signal when its parent ends; nothing happens where the kernel cannot do that."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library that cannot be opened, or has no prctl
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(ends_by))


def main(arguments: Sequence[str]) -> None:
    """Become the program, unless the parent is gone already: `PARENT_PID SIGNAL NICE PROGRAM ARGUMENT...`."""
    parent, ends_by, nice, *program = arguments
    end_with_parent(int(ends_by))
    if os.getppid() != int(parent):  # it died before the signal was asked for
        sys.exit(1)
    if sys.platform != "win32":
        os.nice(int(nice))
    os.execvp(program[0], program)  # noqa: S606  # becoming the program is the purpose; the list is the starter's own


if __name__ == "__main__":
    main(sys.argv[1:])
