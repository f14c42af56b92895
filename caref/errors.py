"""What can go wrong, told apart by whose move is next, and how a command line ends with it."""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


class UserError(Exception):
    """What a user did wrong, in one line: the key or file it lies in, and the mend."""


class SplitFailed(Exception):
    """A split could not be finished (a NaN loss, say), or, at a job's end, some could not; the others are kept.

    The message says at which step and with which terms.
    """


@contextmanager
def reported(interrupted: str = "interrupted") -> Iterator[None]:
    """Around a command line, or on its `main`: whatever ends it ends in at most one line on stderr and no traceback.

    The exit code is 2 where the user's line must change, 1 where splits failed, 130 after Ctrl-C, and 141 where nobody
    reads on (`| head`), which says nothing. What the terminal cannot show is written with backslashes.

    Args:
        interrupted: what Ctrl-C is answered with: what is kept, and how to go on.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a stream that somebody put in its place
            stream.reconfigure(errors="backslashreplace")
    try:
        with piped():
            yield
    except (UserError, SplitFailed) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2 if isinstance(error, UserError) else 1) from None
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # leaving is all that is left to do
        print("\n" * sys.stderr.isatty() + interrupted, file=sys.stderr)  # the terminal has written ^C
        raise SystemExit(128 + signal.SIGINT) from None


@contextmanager
def piped() -> Iterator[None]:
    """Ends the process where nobody reads on what it prints; to anything around it that is no error of the work."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # now, while it can be answered
    except BrokenPipeError:
        unread = [stream for stream in (sys.stdout, sys.stderr) if _unread(stream)]
        if not unread:  # another pipe's
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in unread:
            os.dup2(nowhere, stream.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None


def _unread(stream: TextIO) -> bool:
    """Whether it is a pipe whose reader has gone."""
    with suppress(OSError, ValueError):
        watch = select.poll()
        watch.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in watch.poll(0))
    return False
