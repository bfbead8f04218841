#!/usr/bin/env python3
"""What Spillway, nginx and HAProxy make of the same bytes, each as a reverse proxy before the same Backend.

    script/bench http            prints the table of docs/http.md and compares it with the file
    script/bench http --write    writes it there

The bytes are those of tests/e2e/http_vectors.py. A server forwards them, refuses them with a status, or closes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from fake_upstream import FakeUpstream  # noqa: E402
from gateway import Gateway, config_text, openai_backend  # noqa: E402
from http_client import Connection  # noqa: E402
from http_vectors import HOSTILE  # noqa: E402
from replies import answer  # noqa: E402

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_header_timeout 1s; client_body_timeout 1s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; }} }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 2s
  timeout http-request 1s
frontend in
  bind 127.0.0.1:{port}
  default_backend out
backend out
  server a 127.0.0.1:{upstream}
"""


def free_port() -> int:
    import socket
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


def outcome(port: int, upstream: FakeUpstream, sent: bytes) -> str:
    upstream.requests.clear()
    status = None
    with Connection(port, 6) as connection:
        try:
            connection.send(sent)
        except OSError:
            pass
        try:
            while connection.fill():
                if upstream.requests:
                    break
        except OSError:
            pass
        if bytes(connection.buffer[:9]) in (b"HTTP/1.1 ", b"HTTP/1.0 "):
            status = bytes(connection.buffer[9:12]).decode("latin-1")
    if upstream.requests:
        return "forwarded"
    return status or "closed"


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            Connection(port, 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing listens on {port}")


def measure() -> dict[str, tuple[str, str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="http-vectors-"))
    servers = []
    gateway = None
    try:
        with FakeUpstream() as upstream:
            upstream.script(answer("ok"))
            ports = {}
            for name, text, command in (("nginx", NGINX, ["nginx", "-p", str(folder), "-c"]),
                                        ("haproxy", HAPROXY, ["haproxy", "-db", "-q", "-f"])):
                ports[name] = free_port()
                file = folder / f"{name}.conf"
                file.write_text(text.format(folder=folder, port=ports[name], upstream=upstream.port))
                program = shutil.which(command[0], path="/usr/sbin:/usr/bin")
                servers.append(subprocess.Popen([program, *command[1:], str(file)], stderr=subprocess.DEVNULL))
                wait_for(ports[name])
            limits = {"header_timeout": "1s", "body_timeout": "1s"}
            gateway = Gateway(config_text([openai_backend("a", upstream.port)], limits=limits), folder / "gateway")
            gateway.wait_until_alive()
            return {name: (outcome(gateway.port, upstream, sent), outcome(ports["nginx"], upstream, sent),
                           outcome(ports["haproxy"], upstream, sent)) for name, sent in HOSTILE.items()}
    finally:
        if gateway is not None:
            gateway.stop()
        for server in servers:
            server.terminate()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


# Why Spillway refuses what another one forwards.
WHY = {
    "content-length and transfer-encoding": "ought to be handled as an error (RFC 9112, 6.1)",
    "transfer-encoding and content-length": "as above",
    "two equal content-lengths": "may be taken as one (RFC 9112, 6.3); nobody honest sends it",
    "a list of equal content-lengths": "as above",
    "folded transfer-encoding": "a folded line (RFC 9112, 5.2), and of all fields the one that frames the body",
    "HTTP/1.0 with transfer-encoding": "HTTP/1.0 has none: faulty framing (RFC 9112, 6.1)",
    "bare LF after chunk size": "chunk lines end in CRLF (RFC 9112, 7.1); a bare LF is how requests are smuggled",
    "bare LF after chunk data": "as above",
    "NUL in a chunk extension": "no part of a token or a quoted string (RFC 9112, 7.1.1)",
    "bare LF line ends": "a reader may be lenient (RFC 9112, 2.2); clients of an API have no need of it",
    "bare LF after the request line": "as above",
    "bare LF after one header": "as above",
    "obs-fold": "obsolete (RFC 9112, 5.2): to be refused or joined, which two readers do in two ways",
    "header without colon": "no field (RFC 9112, 5)",
    "header name with a parenthesis": "no token (RFC 9110, 5.1)",
    "header name with UTF-8": "as above",
    "NUL in a header value": "no part of a field value (RFC 9110, 5.5)",
    "control character in a header value": "as above",
    "no host": "HTTP/1.1 has to have one (RFC 9112, 3.2)",
    "two equal hosts": "more than one Host is refused (RFC 9112, 3.2), equal or not",
    "host with a space": "no host (RFC 9110, 7.2)",
    "host with a path": "as above",
    "host with user info": "as above; whoever looks at the part before the @ is fooled",
    "host with a bad port": "as above",
    "absolute form of another host": "it names another server than Host does (RFC 9112, 3.2.2)",
    "CONNECT": "a gateway is no tunnel",
    "TRACE": "it would send credentials back (RFC 9110, 9.3.8)",
    "an unknown method": "the parser knows the registered ones; no endpoint here has any other",
    "a lower case method": "methods are told apart by case (RFC 9110, 9.1)",
    "a tab in the request line": "one space stands between its parts (RFC 9112, 3)",
    "a fragment in the target": "a target has none (RFC 9112, 3.2)",
    "HTTP/2.0 in the request line": "HTTP/2 begins otherwise (RFC 9113, 3.4)",
    "HTTP/1.2": "no such version; how it frames a body is not ours to guess",
    "HTTP/9.9": "as above",
}


def mark(kind: str) -> str:
    return "forwarded" if kind == "forwarded" else "refused"


def table(results: dict[str, tuple[str, str, str]]) -> str:
    """Those on which the three do not agree."""
    lines = ["| sent | Spillway | nginx | HAProxy | why |", "| --- | --- | --- | --- | --- |"]
    agreed = 0
    for name, kinds in results.items():
        if len({mark(kind) for kind in kinds}) == 1:
            agreed += 1
            continue
        lines.append(f"| {name} | " + " | ".join(f"**{kind}**" if kind == "forwarded" else kind for kind in kinds)
                     + f" | {WHY.get(name, '')} |")
    return f"Refused by all three: {agreed} of {len(results)}.\n\n" + "\n".join(lines) + "\n"


BEGIN, END = "<!-- table: generated by script/bench http --write -->\n", "<!-- end of table -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/http.md")
    options = parser.parse_args()
    results = measure()
    text = table(results)
    print(text)
    unexplained = [name for name, kinds in results.items()
                   if len({mark(kind) for kind in kinds}) > 1 and not WHY.get(name)]
    if unexplained:
        print("without a reason: " + ", ".join(unexplained), file=sys.stderr)
    forwarded = [name for name, kinds in results.items() if kinds[0] == "forwarded"]
    if forwarded:
        print("Spillway forwards: " + ", ".join(forwarded), file=sys.stderr)
    file = ROOT / "docs" / "http.md"
    page = file.read_text()
    head, rest = page.split(BEGIN, 1)
    old, tail = rest.split(END, 1)
    if options.write:
        file.write_text(head + BEGIN + text + END + tail)
        old = text
    return 1 if unexplained or forwarded or old != text else 0


if __name__ == "__main__":
    sys.exit(main())
