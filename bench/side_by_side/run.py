#!/usr/bin/env python3
"""Spillway beside nginx as a plain reverse proxy: CPU time per request and per relayed event.

    run.py [--rounds 7] [--max-ratio 1.3] [--json FILE] [--quick]

Both proxies stand before the same upstream and get the same load, with one worker each, in turns; the order
changes with every round. What is compared is the time that the proxy's own threads spent on a CPU (from
/proc/PID/task/*/schedstat, in nanoseconds), which other load on the machine disturbs little:

    us per request = CPU time of a run of whole answers / requests
    us per event   = CPU time of a run of streams / events relayed

The result is the median over rounds of Spillway's figure divided by nginx's of the same round. Exit 1: an
answer was wrong, or a ratio is above --max-ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / os.environ.get("SPILLWAY_BUILD", "release")
CONNECTIONS = 32
BODY_BYTES = 1000
EVENTS = 200        # of one stream
INTERVAL_US = 2000  # between two events of a stream


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"error: nothing listens on port {port}")


class Proxy:
    """A running proxy, and how long its threads have been on a CPU."""

    def __init__(self, name: str, port: int, process: subprocess.Popen, pids):
        self.name, self.port, self.process, self.pids = name, port, process, pids

    def cpu_ns(self) -> int:
        total = 0
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


def children(pid: int) -> list[int]:
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start_nginx(folder: pathlib.Path, upstream: int) -> Proxy:
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err warn;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/nginx.log combined buffer=64k flush=1s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
""")
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    wait_for_port(port)
    return Proxy("nginx", port, process, lambda: [process.pid, *children(process.pid)])


def start_spillway(folder: pathlib.Path, upstream: int) -> Proxy:
    (folder / "spillway.toml").write_text(f"""
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
threads = 1
[[backend]]
name = "provider"
base_url = "http://127.0.0.1:{upstream}/v1"
[[route]]
model = "*"
targets = [{{ backend = "provider", model = "m" }}]
""")
    process = subprocess.Popen([str(BUILD / "spillway"), "--config", str(folder / "spillway.toml"), "--data", str(folder / "data"), "serve"],
                               stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if found := re.match(r"listening on http://127\.0\.0\.1:(\d+)", line):
            return Proxy("spillway", int(found.group(1)), process, lambda: [process.pid])
    sys.exit("error: spillway did not start")


def load(port: int, requests: int, kind: str) -> dict:
    out = subprocess.run([str(BUILD / "bench" / "spillway_bench_load"), str(port), str(CONNECTIONS), str(requests), kind, str(BODY_BYTES)],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def measure(proxy: Proxy, requests: int, kind: str) -> dict:
    """One run: the load's own report, with CPU microseconds per request or per event."""
    before = proxy.cpu_ns()
    got = load(proxy.port, requests, kind)
    micros = (proxy.cpu_ns() - before) / 1e3
    if got["errors"] or got["requests"] != requests:
        sys.exit(f"error: {proxy.name} gave {got['errors']} wrong answers of {requests}")
    if kind == "stream" and got["events"] != requests * (EVENTS + 2):
        sys.exit(f"error: {proxy.name} relayed {got['events']} events, not {requests * (EVENTS + 2)}")
    got["cpu_us"] = micros / (got["events"] if kind == "stream" else requests)
    return got


def system_calls(proxy: Proxy, requests: int, kind: str) -> float | None:
    """System calls per request or event, counted by strace in a run of its own; none where it may not trace."""
    if not shutil.which("strace"):
        return None
    targets = [argument for pid in proxy.pids() for argument in ("-p", str(pid))]
    trace = subprocess.Popen(["strace", "-c", "-f", *targets], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    time.sleep(0.5)
    got = load(proxy.port, requests, kind)
    trace.send_signal(signal.SIGINT)
    _, told = trace.communicate()
    total = re.search(r"^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)\s.*total$", told, re.M)
    return int(total.group(1)) / (got["events"] if kind == "stream" else requests) if total else None


def report(results: dict) -> str:
    lines = [f"{results['machine']}", "",
             f"{'':22}{'nginx':>12}{'spillway':>12}{'ratio':>9}   (least to most over {results['rounds']} rounds)"]
    for kind, unit in (("whole", "request"), ("stream", "event")):
        row = results[kind]
        lines.append(f"CPU us per {unit:<11}{row['nginx']:>12.2f}{row['spillway']:>12.2f}{row['ratio']:>9.2f}   ({row['least']:.2f} to {row['most']:.2f})")
        calls = row.get("system_calls")
        if calls:
            lines.append(f"system calls per {unit:<5}{calls['nginx']:>12.2f}{calls['spillway']:>12.2f}")
    whole = results["whole"]
    lines.append(f"p50 / p99 of whole answers, us, {CONNECTIONS} connections: nginx {whole['p50']['nginx']:.0f} / {whole['p99']['nginx']:.0f}, "
                 f"spillway {whole['p50']['spillway']:.0f} / {whole['p99']['spillway']:.0f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--max-ratio", type=float, default=1.3, help="exit 1 above it [1.3]")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures of every round")
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds
    requests, streams = (5_000, 64) if options.quick else (20_000, 160)
    if not shutil.which("nginx"):
        sys.exit("error: nginx is not installed\n  mend: script/bench installs it")

    with tempfile.TemporaryDirectory(prefix="spillway-bench-") as name:
        folder = pathlib.Path(name)
        upstream = subprocess.Popen([str(BUILD / "bench" / "spillway_bench_upstream"), str(EVENTS), str(INTERVAL_US)],
                                    stdout=subprocess.PIPE, text=True)
        proxies: list[Proxy] = []
        try:
            port = int(upstream.stdout.readline())
            proxies += [start_nginx(folder, port), start_spillway(folder, port)]
            for proxy in proxies:  # connections, caches and branch predictors warm
                measure(proxy, 2_000, "whole")
                measure(proxy, CONNECTIONS, "stream")
            figures = {kind: {proxy.name: [] for proxy in proxies} for kind in ("whole", "stream")}
            for number in range(rounds):
                for proxy in proxies if number % 2 == 0 else reversed(proxies):
                    figures["whole"][proxy.name].append(measure(proxy, requests, "whole"))
                    figures["stream"][proxy.name].append(measure(proxy, streams, "stream"))
            calls = {kind: {proxy.name: system_calls(proxy, count, kind) for proxy in proxies}
                     for kind, count in (("whole", 2_000), ("stream", CONNECTIONS))}
        finally:
            for proxy in proxies:
                proxy.stop()
            upstream.kill()
            upstream.wait()

    results = {"machine": f"{os.cpu_count()} cores, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}", "rounds": rounds, "figures": figures}
    for kind, runs in figures.items():
        ratios = [ours["cpu_us"] / theirs["cpu_us"] for ours, theirs in zip(runs["spillway"], runs["nginx"])]
        results[kind] = {
            "nginx": statistics.median(run["cpu_us"] for run in runs["nginx"]),
            "spillway": statistics.median(run["cpu_us"] for run in runs["spillway"]),
            "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios),
            "system_calls": calls[kind] if all(calls[kind].values()) else None,
            "p50": {name: statistics.median(run["latency_us"]["p50"] for run in found) for name, found in runs.items()},
            "p99": {name: statistics.median(run["latency_us"]["p99"] for run in found) for name, found in runs.items()},
        }
    print(report(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    above = [kind for kind in ("whole", "stream") if results[kind]["ratio"] > options.max_ratio]
    if above:
        print(f"above {options.max_ratio} x nginx: {', '.join(above)}", file=sys.stderr)
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
