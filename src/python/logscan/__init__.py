"""Envoy and Istio access logs as tables for notebooks.

>>> import logscan
>>> logscan.scan("bug-report.tar.gz").to_pandas()             # a row for every connection, with both of its legs
>>> logscan.scan("proxy.log", table="legs", where="response_flags contains UF").to_polars()
>>> logscan.report("proxy.log")["findings"]                   # what the program says of it

Rows come from the program `logscan`, which this package carries, through a pipe: nothing is written to disk, and no more is
in memory than what was asked for. `logscan.schema` says what the columns of each table mean.

What stops the program is a `LogscanError`. What it can read only in part (a file that is cut off, one of several that is
missing) gives its rows and a `LogscanWarning` behind the last of them; `warnings.simplefilter("error",
logscan.LogscanWarning)` makes that an exception as well.
"""

from ._ask import Column, report, schema, version
from ._binary import binary
from ._scan import Scan, scan
from ._trouble import LogscanError, LogscanWarning

__all__ = ["Column", "LogscanError", "LogscanWarning", "Scan", "binary", "report", "scan", "schema", "version"]
