"""How a command fails: one sentence on stderr, which says what, where and what to do, and exit status 1."""

import contextlib
import errno
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

REMEDIES = {
    errno.ENOENT: "check its name",
    errno.ENOSPC: "make room on its disk",
    errno.EIO: "make room on its disk, or name another place",
    errno.EROFS: "it can only be read, so work in another place",
    errno.EACCES: "change its permissions",
    errno.EEXIST: "a file or a broken link is where a folder belongs, so remove it",
    errno.ENOTDIR: "a file is where a folder belongs, so remove it",
}


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Run a command; what its user can mend ends the process with ``error: ...``; a warning takes one line as well."""
    # Only now, since these take seconds to import and `--help` need not wait.
    from sercore.audio import AudioError
    from sercore.corpus import CorpusError
    from sercore.params import ParamsError
    from sercore.sums import SignificanceError

    warnings.formatwarning = lambda message, *_, **__: f"warning: {' '.join(str(message).split())}\n"
    try:
        yield
    except (AudioError, CorpusError, ParamsError, SignificanceError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split()).rstrip(".")
        remedy = REMEDIES.get(error.errno or 0, "check that it can be used")
        sys.exit(f"error: {error.filename or Path.cwd()}: {reason}: {remedy}.")
