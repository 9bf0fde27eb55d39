"""The command `fastnn`: train, predict, info, warmup; see `fastnn --help`.

Exit codes: 0; 1 where training failed or a file cannot be written; 2 for options or data that do not fit, with one line on
stderr; 130 after Ctrl-C and 143 after SIGTERM.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ._parser import parser

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code. arguments: those after the command's name, sys.argv's by default.

    >>> main(["train", "digits", "--epochs", "0"])
    2
    """
    try:
        options = parser().parse_args(arguments)
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough, e.g. `fastnn predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        filed = isinstance(error, OSError) and error.filename is not None and error.strerror
        message = f"{error.filename}: {error.strerror}" if filed else str(error)
        print("fastnn: " + " ".join(message.split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return 130
