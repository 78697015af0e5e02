"""An Arrow stream from the program, through a pipe."""

from __future__ import annotations

import io
import subprocess
import threading
import weakref
from typing import Any, Optional

import pyarrow as pa
import pyarrow.ipc  # noqa: F401  pyarrow does not load it by itself

from ._binary import binary
from ._trouble import judge

#: The end mark of a stream is read in pieces of at most so many bytes. Source: Arrow, IPC streaming format.
_MARK = 8


class Reader(pa.ipc.RecordBatchStreamReader):  # type: ignore[misc]  # pyarrow has no types
    """Batches of rows as the program finds them.

    Whoever closes it, drops it, or leaves its `with` ends the program. How the program ended shows behind the last batch: a
    LogscanError or LogscanWarning then.
    """

    def __init__(self, words: list[str]) -> None:
        self._pipe = Pipe(words)
        super().__init__(self._pipe)
        self._pipe.schema_is_read()

    @property
    def trouble(self) -> Optional[BaseException]:
        """What ended it too early, for those whose engine only passes on words; None as long as all is well."""
        return self._pipe.trouble

    def close(self) -> None:
        """Ends the program, if it still runs."""
        self._pipe.close()


class Pipe(io.RawIOBase):
    """The program's standard output. Its end is handed on only if the program ended well."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self._process = subprocess.Popen(
            [str(binary()), *words],
            # Only if it is an input; a notebook's is none of the program's business.
            stdin=None if words[-1] == "-" else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # Also runs when Python ends.
        self._end = weakref.finalize(self, _end, self._process)
        self._out: io.BufferedReader = self._process.stdout  # type: ignore[assignment]
        self._said: list[bytes] = []
        # A pipe that nobody reads would stop the program.
        self._listener = threading.Thread(target=_listen, args=(self._process.stderr, self._said), daemon=True)
        self._listener.start()
        self._count = 0
        self._schema = 0
        self._judged = False
        self.trouble: Optional[BaseException] = None

    def schema_is_read(self) -> None:
        """What comes from now on are rows, and the end mark."""
        self._schema = self._count

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes, less only at the end.

        Raises LogscanError if the program did not end well.
        """
        try:
            data = self._out.read(size)
            self._count += len(data)
            may_be_mark = size <= _MARK and data.endswith(bytes(4))
            if not data or may_be_mark and not self._out.peek(1):
                self._judge()
            return data
        except BaseException as trouble:
            # An interrupt as well.
            self.trouble = trouble
            self.close()
            raise

    def _judge(self) -> None:
        code = self._process.wait()
        self._listener.join()
        if not self._judged:
            self._judged = True
            judge(code, b"".join(self._said), has_rows=self._count > self._schema + _MARK)

    def close(self) -> None:
        """Ends the program, if it still runs."""
        self._end()
        super().close()


def _end(process: subprocess.Popen[bytes]) -> None:
    # It writes to this pipe only, so there is nothing that it could leave half done.
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def _listen(pipe: Any, said: list[bytes]) -> None:
    with pipe:
        said.append(pipe.read())
