"""Keyword options become the program's arguments."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date, datetime, timezone
from typing import Union

#: A file or folder, as everything in Python names one.
Path = Union[str, "os.PathLike[str]"]
#: One or several.
Paths = Union[Path, Iterable[Path]]
#: A time: text as the program takes it (RFC 3339, a date, `2h ago`), a date in UTC, or an instant with its time zone.
Moment = Union[str, date, datetime]


def words(paths: Paths, **options: object) -> list[str]:
    """The arguments behind the command: options by their names, then the inputs.

    None and False leave an option out, a list repeats it.

    Raises ValueError if there is no input, or an instant without a time zone.
    """
    found = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        for one in _each(value):
            if one is True:
                found.append(flag)
            elif one is not None and one is not False:
                found.append(f"{flag}={_text(one)}")
    inputs = [os.fspath(path) for path in _each(paths)]  # type: ignore[call-overload]
    if not inputs:
        raise ValueError("no log to read")
    return [*found, "--", *inputs]


def _each(value: object) -> list[object]:
    if isinstance(value, (str, os.PathLike)) or not isinstance(value, Iterable):
        return [value]
    return list(value)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return str(os.fspath(value)) if isinstance(value, os.PathLike) else str(value)
