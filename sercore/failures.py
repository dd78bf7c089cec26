"""How a command fails: one sentence on stderr, which says what, where and what to do, and exit status 1."""

import contextlib
import errno
import gc
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from sercore import InputError

REMEDIES = {
    errno.ENOENT: "check its name",
    errno.ENOSPC: "make room on its disk",
    errno.EIO: "make room on its disk, or work in another place",
    errno.EROFS: "work in a place that can be written",
    errno.EACCES: "change its permissions",
    errno.EEXIST: "remove the file or broken link that is where a folder belongs",
    errno.ENOTDIR: "remove the file that is where a folder belongs",
}


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Run a command; what its user can mend ends the process with ``error: ...``; a warning takes one line as well."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"warning: {' '.join(str(message).split())}\n"
    try:
        yield
    except BrokenPipeError:  # of `| head`, which has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (InputError, ModuleNotFoundError, UnicodeEncodeError, OSError) as error:
        for each in filter(None, (error, error.__context__)):
            traceback.clear_frames(each.__traceback__)
        gc.collect()  # with the frames go progress bars, which would share the sentence's line
        sentence = str(error)
        if isinstance(error, UnicodeEncodeError):
            near = error.object[max(0, error.start - 30) : error.end + 10]
            sentence = f"{near!r} holds a name that is not UTF-8: rename the file."
        elif isinstance(error, ModuleNotFoundError):
            sentence = f"the package {error.name!r} is missing: run `pip install 'sercore[train]'`, or install it."
        elif isinstance(error, OSError):
            reason = " ".join(str(error.strerror or error).split()).rstrip(".")
            remedy = REMEDIES.get(error.errno or 0, "check that it can be used")
            sentence = f"{error.filename or Path.cwd()}: {reason}: {remedy}."
        sys.exit(f"error: {sentence}")
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which takes seconds to import
            raise
        remedy = "set training.checkpointing to true, or a smaller training.batch_size with accumulation and exact_ccc"
        sys.exit(f"error: the GPU's memory is too small ({str(error).partition('. ')[0]}): {remedy}.")
    finally:
        warnings.formatwarning = usual
