"""What can go wrong, told apart by whose move is next."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What a user did wrong, in one line: the key or file it lies in, and the mend."""


class SplitFailed(Exception):
    """One split could not be finished (a NaN loss, say); the job's other splits go on.

    The message says at which step and with which terms; the failure note of the split keeps it.
    """


@contextmanager
def reported() -> Iterator[None]:
    """Around a command line: a UserError ends the process with its one line on stderr and exit code 2."""
    try:
        yield
    except UserError as error:
        line = " ".join(str(error).split())
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(2) from None
