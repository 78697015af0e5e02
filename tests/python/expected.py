"""What the tables must hold, made from the JSON report: every column of every table, not by the program's own rules."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Optional

import communityid

Leg = dict[str, Any]
#: What the JSON does not say of a line or a connection; it is compared by what follows from it (see test_readers).
UNSAID = {"legs": {"format", "doubtful"}, "connections": {"source_workload", "destination_service", "expected_cluster"}}
UNSAID["connections"] |= {f"{side}_{name}" for side in ("outbound", "inbound") for name in UNSAID["legs"]}

TIMES = ["start_time", "emit_time", "arrived"]
ADDRESSES = {
    "upstream_host": "upstream_host",
    "upstream_local": "upstream_local_address",
    "downstream_local": "downstream_local_address",
    "downstream_remote": "downstream_remote_address",
}
SPECIAL = {"PassthroughCluster": "passthrough", "BlackHoleCluster": "blackhole"}
SPECIAL |= {f"InboundPassthroughCluster{family}": "inbound-passthrough" for family in ("", "Ipv4", "Ipv6")}


def instant(text: Optional[str]) -> Optional[datetime]:
    """RFC 3339, with more than six decimals cut."""
    if text is None:
        return None
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00"))


def end(text: Optional[str]) -> tuple[Optional[str], Optional[int]]:
    """An address with a port, taken apart."""
    host, _, port = (text or "").rpartition(":")
    try:
        host = host.strip("[]") if host.startswith("[") else host
        ipaddress.ip_address(host)
        return host, int(port)
    except ValueError:
        return None, None


def parts(cluster: str) -> Optional[list[str]]:
    """Direction, port, subset and host of a name of Istio's."""
    for separator in ("|", "_."):
        found = cluster.split(separator, 3)
        if len(found) == 4 and re.fullmatch("outbound|inbound|inbound-vip", found[0]):
            return found
    return None


def workload(pod: Optional[str]) -> Optional[str]:
    """A pod's name without a ReplicaSet's hash and suffix, or a StatefulSet's number. Source: Kubernetes."""
    if pod is None:
        return None
    letters = "[bcdfghjklmnpqrstvwxz2456789]"
    # Made-up pods have hashes that Kubernetes would not make.
    deployment = re.fullmatch(r"(.+)-(?=[a-z]*\d[a-z]*\d)[a-z0-9]{8,10}-[a-z0-9]{5}", pod)
    deployment = deployment or re.fullmatch(rf"(.+)-{letters}{{5,10}}-{letters}{{5}}", pod)
    other = re.fullmatch(r"(.+)-\d+", pod) or re.fullmatch(rf"(.+)-{letters}{{5}}", pod)
    found = re.fullmatch(r"(.+)-\d+", pod) or deployment or other
    return found.group(1) if found else pod


def start(leg: Leg) -> Optional[datetime]:
    """Where a line says only when it was written, that is its end."""
    emitted = instant(leg["emit_time"])
    if leg["start_time"] is None and emitted is not None:
        return emitted - timedelta(milliseconds=leg["duration"] or 0)
    return instant(leg["start_time"])


def finish(leg: Leg) -> Optional[datetime]:
    begun = start(leg)
    return begun and begun + timedelta(milliseconds=leg["duration"] or 0)


def mtls(leg: Leg) -> Optional[bool]:
    if leg["side"] != "inbound":
        return None
    if leg["event"] is not None:
        return leg["source_identity"] is not None
    return bool(sni(leg))


def sni(leg: Leg) -> Optional[str]:
    name = leg["requested_server_name"] or ""
    found = parts(name) if name.startswith("outbound_.") else None
    return found[3] if found and found[3] else None


def community(leg: Leg) -> Optional[str]:
    """By Corelight's own package, from the ends between the two proxies."""
    ends = ("upstream_local_address", "upstream_host")
    if leg["side"] == "inbound":
        ends = ("downstream_remote_address", "downstream_local_address")
    (client, client_port), (server, server_port) = (end(leg[name]) for name in ends)
    if leg["side"] == "unknown" or not client or not server or not client_port or not server_port:
        return None
    tuple_ = communityid.FlowTuple.make_tcp(client, server, client_port, server_port)
    return communityid.CommunityID().calc(tuple_)


def of_leg(leg: Optional[Leg], columns: list[str], known: set[str]) -> dict[str, Any]:
    """The cells of a leg, by their columns."""
    if leg is None:
        return dict.fromkeys(columns)
    name = leg["upstream_cluster"]
    found = (parts(name) if name else None) or [None, None, None, None]
    kind = None if name is None else SPECIAL.get(name) or (found[0] or "other").removesuffix("-vip")
    extra = {key: value for key, value in leg.items() if key not in known and value is not None}
    cells = {key: instant(leg[key]) if key in TIMES else leg[key] for key in columns if key in leg}
    for short, long in ADDRESSES.items():
        cells[f"{short}_ip"], cells[f"{short}_port"] = end(leg[long])
    return cells | {
        "start_time": start(leg),
        "end_time": finish(leg),
        "bytes_sent": leg["bytes_sent"] or 0,
        "bytes_received": leg["bytes_received"] or 0,
        "workload": workload(leg["pod"]),
        "cluster_direction": kind,
        "cluster_port": found[1] and int(found[1]),
        "cluster_subset": found[2] or None,
        "cluster_host": found[3] or None,
        "sni_host": sni(leg),
        "mtls": mtls(leg),
        "community_id": community(leg),
        "extra": json.dumps(extra, sort_keys=True) if extra else None,
    }


def legs(document: dict[str, Any], columns: list[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By input and line."""
    connections = document["connection_list"]
    all_legs = [leg for connection in connections for leg in (connection["outbound"], connection["inbound"]) if leg]
    return {(leg["source"], leg["line"]): of_leg(leg, columns, set(columns)) for leg in all_legs}


def connections(document: dict[str, Any], columns: list[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By both legs' input and line."""
    own = [column.removeprefix("outbound_") for column in columns if column.startswith("outbound_")]
    rows = {}
    for connection in document["connection_list"]:
        out, inn = connection["outbound"], connection["inbound"]
        cells = {}
        for prefix, leg in (("outbound_", out), ("inbound_", inn)):
            cells |= {prefix + name: cell for name, cell in of_leg(leg, own, set(own)).items()}
        late = None
        if out and inn and start(out) and start(inn):
            # Whole milliseconds, cut towards zero.
            late = int((start(inn) - start(out)) / timedelta(milliseconds=1))
        cells |= {
            "start_time": start(out or inn),
            "end_time": finish(out or inn),
            "pairing": "paired" if out and inn else "outbound-only" if out else "inbound-only",
            "matched_by": connection["matched_by"],
            "unpaired": connection["unpaired"],
            "predicted_cluster": connection.get("predicted_cluster"),
            "prediction": connection.get("prediction"),
            "mtls": inn and mtls(inn),
            "connect_ms": late,
            "findings": ",".join(connection["findings"]) or None,
        }
        key = tuple(cells[f"{side}_{name}"] for side in ("outbound", "inbound") for name in ("source", "line"))
        rows[key] = cells
    return rows


def findings(document: dict[str, Any], columns: list[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By their place in the report."""
    rows = {}
    for number, finding in enumerate(document["findings"]):
        line = (finding["evidence"] or [{"source": None, "line": None, "text": None}])[0]
        cells = {key: finding[key] for key in ("code", "name", "severity", "grade", "subject", "why", "fix")}
        rows[(number,)] = cells | {
            "connections": finding["count"],
            "first_start": instant(finding["first"]),
            "last_start": instant(finding["last"]),
            "verify": finding["check"] or None,
            "evidence_source": line["source"],
            "evidence_line": line["line"],
            "evidence": line["text"],
        }
    return rows


def traffic(document: dict[str, Any], columns: list[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By their place in the report."""
    rows = enumerate(document["traffic"])
    return {(number,): {**row, "upstream_cluster": row["cluster"]} for number, row in rows}


#: By table, the rows by a key.
TABLES: dict[str, Callable[[dict[str, Any], list[str]], dict[tuple[Any, ...], dict[str, Any]]]] = {
    "legs": legs,
    "connections": connections,
    "findings": findings,
    "traffic": traffic,
}


def key(table: str, row: dict[str, Any], number: int) -> tuple[Any, ...]:
    """The key of a row that was read."""
    if table == "legs":
        return row["source"], row["line"]
    if table == "connections":
        return tuple(row[f"{side}_{name}"] for side in ("outbound", "inbound") for name in ("source", "line"))
    return (number,)
