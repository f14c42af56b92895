"""What can go wrong, told apart by whose move is next."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What a user did wrong, in one line: the key or file it lies in, and the mend."""


class SplitFailed(Exception):
    """A split could not be finished (a NaN loss, say), or, at a job's end, some could not; the others are kept.

    The message says at which step and with which terms.
    """


@contextmanager
def reported() -> Iterator[None]:
    """Around a command line: an error of these ends the process with one line on stderr and without a traceback.

    The exit code is 2 where the user's line must change, 1 where splits failed.
    """
    try:
        yield
    except (UserError, SplitFailed) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2 if isinstance(error, UserError) else 1) from None
