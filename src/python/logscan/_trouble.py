"""What can go wrong, as exceptions, and which it is."""

from __future__ import annotations

import warnings
from typing import Optional

#: The program's exit code for trouble: something could not be read, or nothing at all.
_TROUBLE = 2


class LogscanError(Exception):
    """The program could not do what was asked; its message is the exception's."""

    #: The program's exit code: 2 trouble, 130 interrupted, below 0 the signal that ended it; None if it did not run.
    code: Optional[int]

    def __init__(self, message: str, code: Optional[int]) -> None:
        super().__init__(message)
        self.code = code


class LogscanWarning(UserWarning):
    """Some of the input could not be read; what is there is right, and not all."""


# Python shows a warning once a place, and all of these have one place.
warnings.filterwarnings("always", category=LogscanWarning, append=True)


def judge(code: int, said: bytes, has_rows: bool) -> None:
    """Raises or warns if a run did not end well.

    `said` is what stood on its standard error, `has_rows` whether there is something worth having.
    """
    if code == 0:
        return
    lines = said.decode("utf-8", "replace").strip().splitlines()
    message = "\n".join(line[len("logscan: ") :] if line.startswith("logscan: ") else line for line in lines)
    if code == _TROUBLE and has_rows:
        warnings.warn(message, LogscanWarning, stacklevel=2)
        return
    raise LogscanError(message or f"logscan ended with code {code}", code)
