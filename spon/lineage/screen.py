"""Write to the screen: at once what it can hold, page by page what it cannot."""

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress

# As git has it: quit if it fits, keep colours, and leave the last page on the screen.
LESS = "FRX"


def write(text: str) -> None:
    """Write text to the screen at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_pages(text: str) -> None:
    """Write text to the screen, through a pager where that is a terminal with fewer lines.

    The pager is the command in `$PAGER`, else `less`; if it is empty, `cat` or not here, there is
    none.
    """
    pager = os.environ.get("PAGER", "less")
    lines = text.count("\n")
    fits = not sys.stdout.isatty() or lines < shutil.get_terminal_size().lines
    command = shlex.split(pager)
    if fits or command in ([], ["cat"]) or not shutil.which(command[0]):
        write(text)
        return
    environment = {"LESS": LESS} | os.environ
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, env=environment, encoding="utf-8"
    ) as paged:
        with suppress(OSError, KeyboardInterrupt), paged.stdin:  # it may be left before the end
            paged.stdin.write(text)
        while paged.poll() is None:
            with suppress(KeyboardInterrupt):  # which means something to the pager
                paged.wait()
