"""Where the program is."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

from ._trouble import LogscanError


def binary() -> Path:
    """The program that this package runs.

    That is what the environment variable LOGSCAN names, else the one that came with the package, else the first on PATH.

    Raises LogscanError if there is none.
    """
    if named := os.environ.get("LOGSCAN"):
        return Path(named)
    user = sysconfig.get_preferred_scheme("user") if hasattr(sysconfig, "get_preferred_scheme") else "posix_user"
    for folder in (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", scheme=user)):
        program = Path(folder, "logscan")
        if program.is_file():
            return program
    if found := shutil.which("logscan"):
        return Path(found)
    raise LogscanError("the program logscan is not installed; name it in the environment variable LOGSCAN", None)
