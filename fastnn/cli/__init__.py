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
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except ValueError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return 130


def _refuse(message: str) -> int:
    print("fastnn: " + " ".join(message.split()), file=sys.stderr)
    return 2
