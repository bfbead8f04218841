#!/usr/bin/env python3
"""Spillway beside nginx as a plain reverse proxy: CPU time per request and per relayed event.

    run.py [--rounds 25] [--max-ratio 1.3] [--json FILE] [--quick] [--null]

Both proxies stand before the same upstream and get the same load, with one worker each, in turns; the order
changes with every round. What is compared is the CPU time of the proxy's processes, all threads, user and
system, in nanoseconds (their CPU clocks, clock_getcpuclockid(3)), which other load on the machine disturbs
little; where a hypervisor takes the processor away in between, that counts as CPU time and is told:

    us per request = CPU time of a run of whole answers / requests
    us per event   = CPU time of a run of streams / events relayed, the request's own share included

The result is the median over rounds of Spillway's figure divided by nginx's of the same round, with how
uncertain that median is (+-, 1.57 interquartile ranges / sqrt(rounds)). With --null a second nginx takes
Spillway's place: how far its ratio is from 1 is the error of the measurement. Exit 1: an answer was wrong,
or a ratio is above --max-ratio.
"""

from __future__ import annotations

import argparse
import contextlib
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
from typing import Callable

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / os.environ.get("SPILLWAY_BUILD", "release")
CONNECTIONS = 32
BODY_BYTES = 1000
EVENTS = 200        # of one stream; the role's and [DONE] come on top
CPUCLOCK_SCHED = 2  # linux/include/linux/posix-timers.h: the clock of a whole process, precise


class Failure(Exception):
    """What stops the benchmark, told in a line."""


def ended(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def started(stack: contextlib.ExitStack, folder: pathlib.Path, name: str, command: list, is_up: Callable[[str], int | None]) -> tuple:
    """Runs `command` until `stack` is left; waits until is_up(stdout so far) tells its port."""
    out, err = folder / f"{name}.stdout", folder / f"{name}.stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    stack.callback(ended, process)
    deadline = time.monotonic() + 15
    while process.poll() is None and time.monotonic() < deadline:
        if port := is_up(out.read_text()):
            return process, port
        time.sleep(0.02)
    raise Failure(f"{name} did not start\n{err.read_text()}")


def port_in(pattern: str) -> Callable[[str], int | None]:
    return lambda text: int(found.group(1)) if (found := re.search(pattern, text, re.M)) else None


def port_when_open(port: int) -> Callable[[str], int | None]:
    def is_up(_: str) -> int | None:
        with socket.socket() as probe:
            return port if probe.connect_ex(("127.0.0.1", port)) == 0 else None
    return is_up


class Proxy:
    """A running proxy, and the CPU time of its processes."""

    def __init__(self, name: str, port: int, pids: list[int]):
        self.name, self.port, self.pids = name, port, pids

    def cpu_ns(self) -> int:
        return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in self.pids)


def start_nginx(stack: contextlib.ExitStack, folder: pathlib.Path, upstream: int, name: str = "nginx") -> Proxy:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    temporary = " ".join(f"{kind}_temp_path {folder}/{name}.{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / f"{name}.conf"
    config.write_text(f"""
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.err warn;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/{name}.log combined buffer=64k flush=1s;
  {temporary}
  keepalive_requests 1000000000;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
""")
    process, _ = started(stack, folder, name, ["nginx", "-p", folder, "-e", folder / f"{name}.err", "-c", config], port_when_open(port))
    workers = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return Proxy(name, port, [process.pid, *map(int, workers)])


def start_spillway(stack: contextlib.ExitStack, folder: pathlib.Path, upstream: int) -> Proxy:
    config = folder / "spillway.toml"
    config.write_text(f"""
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
threads = 1
[[backend]]
name = "provider"
base_url = "http://127.0.0.1:{upstream}/v1"
aggregate = "off"  # as the other proxies: an answer that is asked for whole comes whole
[[route]]
model = "*"
targets = [{{ backend = "provider", model = "m" }}]
""")
    command = [BUILD / "spillway", "--config", config, "--data", folder / "data", "serve"]
    process, port = started(stack, folder, "spillway", command, port_in(r"^listening on http://127\.0\.0\.1:(\d+)"))
    return Proxy("spillway", port, [process.pid])


def load(name: str, port: int, requests: int, kind: str, connections: int = CONNECTIONS) -> dict:
    """The load generator's report; Failure unless every answer was right and whole."""
    command = [BUILD / "bench" / "spillway_bench_load", "--url", f"http://127.0.0.1:{port}", "--connections", connections,
               "--requests", requests, "--body-bytes", BODY_BYTES, *(["--stream"] if kind == "stream" else [])]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if run.returncode != 0:
        raise Failure(f"load on {name}: {run.stderr.strip()}")
    got = json.loads(run.stdout)
    if got["errors"] or got["requests"] != requests:
        raise Failure(f"{name} gave {got['errors']} wrong answers, {got['requests']} of {requests} right ones")
    if kind == "stream" and got["events"] != requests * (EVENTS + 2):
        raise Failure(f"{name} relayed {got['events']} events, not {requests * (EVENTS + 2)}")
    return got


def measure(proxy: Proxy, requests: int, kind: str) -> dict:
    """One run: the load's own report, with CPU microseconds per request or per event."""
    before = proxy.cpu_ns()
    got = load(proxy.name, proxy.port, requests, kind)
    got["cpu_us"] = (proxy.cpu_ns() - before) / 1e3 / (got["events"] if kind == "stream" else requests)
    return got


def system_calls(proxy: Proxy, kind: str) -> float | None:
    """System calls per request, or per piece of a stream that is sent on, counted by strace; none where it may not
    trace. A traced proxy is slow and finds several events in one read, so events are no measure here; pieces are:
    what reads and sends once for each event when untraced reads and sends once for each piece now."""
    if not shutil.which("strace"):
        return None
    targets = [argument for pid in proxy.pids for argument in ("-p", str(pid))]
    trace = subprocess.Popen(["strace", "-c", "-f", *targets], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        time.sleep(0.5)
        got = load(proxy.name, proxy.port, CONNECTIONS if kind == "stream" else 1_000, kind)
    finally:
        trace.send_signal(signal.SIGINT)
        _, told = trace.communicate()
    counts = {name: int(calls) for calls, name in re.findall(r"^\s*[\d.]+\s+\S+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", told, re.M)}
    pieces = sum(counts.get(name, 0) for name in ("sendmsg", "sendto", "writev")) - got["requests"]  # those go upstream
    per = pieces if kind == "stream" else got["requests"]
    return sum(calls for name, calls in counts.items() if name != "total") / per if counts and per > 0 else None


def processor_time() -> tuple[int, int]:
    """All time of all processors since the start, and what of it a hypervisor gave to others, in ticks (proc(5))."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[7]


def machine() -> str:
    model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]
    return (f"{os.cpu_count()} cores ({model.group(1) if model else platform.machine()}), Linux {platform.release()}, load {os.getloadavg()[0]:.1f}, "
            f"nginx {version}, {time.strftime('%Y-%m-%d')}")


def run(folder: pathlib.Path, options: argparse.Namespace) -> dict:
    """All rounds and the single runs: what was found, not yet summed up."""
    rounds = options.rounds or (7 if options.quick else 25)
    counts = {"whole": 5_000, "stream": 32 if options.quick else 96}  # short, so that a disturbance spoils few rounds
    with contextlib.ExitStack() as stack:
        upstream = [BUILD / "bench" / "spillway_bench_upstream", "--events", EVENTS, "--interval-us", options.interval_us]
        _, direct = started(stack, folder, "upstream", upstream, port_in(r"^(\d+)$"))
        peer = start_nginx(stack, folder, direct)
        subject = start_nginx(stack, folder, direct, "nginx-2") if options.null else start_spillway(stack, folder, direct)
        proxies = [peer, subject]
        for proxy in proxies:  # connections, caches and branch predictors warm
            measure(proxy, 2_000, "whole")
            measure(proxy, CONNECTIONS, "stream")
        before = processor_time()
        figures: dict = {kind: {proxy.name: [] for proxy in proxies} for kind in counts}
        for number in range(rounds):
            for kind, count in counts.items():
                for proxy in proxies if number % 2 == 0 else reversed(proxies):
                    figures[kind][proxy.name].append(measure(proxy, count, kind))
        total, stolen = (late - early for early, late in zip(before, processor_time()))
        ports = {"direct": direct} | {proxy.name: proxy.port for proxy in proxies}
        return {"machine": machine(), "peer": peer.name, "subject": subject.name, "rounds": rounds, "figures": figures,
                "stolen": stolen / max(total, 1),
                "one_connection": {name: load(name, port, 2_000, "whole", 1)["latency_us"] for name, port in ports.items()},
                "direct": {kind: load("direct", direct, count, kind) for kind, count in counts.items()},
                "system_calls": {kind: {proxy.name: system_calls(proxy, kind) for proxy in proxies} for kind in counts}}


def uncertainty(ratios: list[float]) -> float | None:
    """Of their median: half a notch, 1.57 IQR / sqrt(n) (McGill, Tukey, Larsen, "Variations of box plots", 1978)."""
    if len(ratios) < 4:
        return None
    first, _, third = statistics.quantiles(ratios, n=4)
    return 1.57 * (third - first) / len(ratios) ** 0.5


def summed_up(results: dict) -> dict:
    """Adds to `results`, for each kind of run, the medians and the ratio over rounds."""
    peer, subject = results["peer"], results["subject"]
    for kind, runs in results["figures"].items():
        ratios = [ours["cpu_us"] / theirs["cpu_us"] for ours, theirs in zip(runs[subject], runs[peer])]
        results[kind] = {
            "cpu_us": {name: statistics.median(run["cpu_us"] for run in found) for name, found in runs.items()},
            "ratio": statistics.median(ratios), "uncertainty": uncertainty(ratios), "least": min(ratios), "most": max(ratios), "ratios": ratios,
        }
    return results


def latency_rows(results: dict) -> list[tuple[str, dict]]:
    """Latencies in microseconds by row and column; medians over rounds."""
    def over(kind: str, field: str, share: str) -> dict:
        return {"direct": results["direct"][kind][field][share]} | {
            name: statistics.median(run[field][share] for run in found) for name, found in results["figures"][kind].items()}

    rows = [(f"answer {share}, 1 connection", {name: got[share] for name, got in results["one_connection"].items()}) for share in ("p50", "p99")]
    rows += [(f"answer {share}, {CONNECTIONS} at once", over("whole", "latency_us", share)) for share in ("p50", "p99")]
    return rows + [(f"first event {share}, {CONNECTIONS} at once", over("stream", "first_us", share)) for share in ("p50", "p99")]


def report(results: dict) -> str:
    peer, subject = results["peer"], results["subject"]
    lines = [results["machine"]]
    if results["stolen"] > 0.02:
        lines.append(f"the hypervisor gave {results['stolen']:.0%} of the processors' time to others, which counts as the proxies': see +-")
    lines += ["", f"{'':28}{peer:>10}{subject:>10}{'ratio':>8}{'+-':>7}   least to most over {results['rounds']} rounds"]
    for kind, unit in (("whole", "request"), ("stream", "event")):
        row = results[kind]
        uncertain = "?" if row["uncertainty"] is None else f"{row['uncertainty']:.2f}"
        lines.append(f"{f'CPU us per {unit}':28}{row['cpu_us'][peer]:>10.2f}{row['cpu_us'][subject]:>10.2f}{row['ratio']:>8.2f}{uncertain:>7}"
                     f"   {row['least']:.2f} to {row['most']:.2f}")
    for kind, unit in (("whole", "request"), ("stream", "piece")):
        calls = results["system_calls"][kind]
        known = all(calls.values())
        told = f"{calls[peer]:>10.2f}{calls[subject]:>10.2f}" if known else "  not counted: strace is missing, or may not trace"
        lines.append(f"{f'system calls per {unit}':28}{told}")
    lines += ["", f"{'us':28}{peer:>10}{subject:>10}{'direct':>10}"]
    lines += [f"{label:28}" + "".join(f"{row[name]:>10.0f}" for name in (peer, subject, "direct")) for label, row in latency_rows(results)]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="[25; 7 with --quick]")
    parser.add_argument("--max-ratio", type=float, default=1.3, help="exit 1 above it [1.3]")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures of every round")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--null", action="store_true", help="a second nginx in Spillway's place")
    parser.add_argument("--interval-us", type=int, default=2000, help="between two events of a stream; 0: as fast as it goes [2000]")
    options = parser.parse_args()
    programs = [BUILD / "bench" / name for name in ("spillway_bench_upstream", "spillway_bench_load")]
    if missing := [str(name) for name in [*programs, *([] if options.null else [BUILD / "spillway"])] if not name.exists()]:
        sys.exit(f"error: not built: {', '.join(missing)}\n  mend: script/bench builds all")
    if not shutil.which("nginx"):
        sys.exit("error: nginx is not installed, so there is nothing to compare with\n  mend: script/bench installs it")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    try:
        with tempfile.TemporaryDirectory(prefix="spillway-bench-") as name:
            results = summed_up(run(pathlib.Path(name), options))
    except Failure as failure:
        sys.exit(f"error: {failure}")
    print(report(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    above = [f"{kind} {results[kind]['ratio']:.2f}" for kind in ("whole", "stream") if results[kind]["ratio"] > options.max_ratio]
    if above:
        print(f"above {options.max_ratio} times nginx: {', '.join(above)}", file=sys.stderr)
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
