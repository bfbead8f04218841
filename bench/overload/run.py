#!/usr/bin/env python3
"""Overload, measured: the drill at full length, and a local engine that is asked ten times what it can do.

    script/bench overload [--drill] [--local]    both by default; exit 1 where a limit is not kept

--drill   10,000 requests at 200 a second against the shipped scenario, evenly and in bursts: none may fail, first token
          p50 at most 280 ms and p95 520 ms, at most 1.05 calls per request.
--local   the real engine with two slots, and one for critical requests, asked one at a time, then as fast as it can, then ten times that for half a
          minute, a tenth of it critical: goodput within 10 % of its best, the critical requests' first token p95 at
          most 1.5 times the unloaded one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "release" / "spillway"
TOKENS = 16
SLOTS = 2


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1] if values else math.nan


class Checks:
    def __init__(self) -> None:
        self.failed = 0

    def hold(self, what: str, value: float, limit: float, at_most: bool = True) -> None:
        good = value <= limit if at_most else value >= limit
        self.failed += not good
        print(f"  {'ok  ' if good else 'FAIL'} {what}: {value:.4g} ({'at most' if at_most else 'at least'} {limit:g})")


def drill(checks: Checks) -> None:
    for name, more in (("evenly", []), ("in bursts", ["--bursty"])):
        print(f"drill, 10,000 requests at 200/s, failures {name}", flush=True)
        with tempfile.TemporaryDirectory() as home:
            got = subprocess.run([str(BINARY), "drill", "--requests", "10000", "--rate", "200", "--json", *more], cwd=home,
                                 env={"PATH": os.environ["PATH"], "HOME": home}, capture_output=True, text=True, timeout=300, check=True)
        side = json.loads(got.stdout)["with"]
        checks.hold("failures", side["requests"] - side["answered"], 0)
        checks.hold("first token p50, ms", side["first_token_ms"]["p50"], 280)
        checks.hold("first token p95, ms", side["first_token_ms"]["p95"], 520)
        checks.hold("calls per request", side["calls_per_request"], 1.05)


class Client:
    """Streams one answer after the other over a connection of its own."""

    def __init__(self, port: int):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, number: int, priority: str = "normal") -> tuple[int, float, float]:
        """Status, seconds to the first token (nan: none), and the Retry-After."""
        body = json.dumps({"model": "x", "stream": True, "max_tokens": TOKENS, "temperature": 0,
                           "messages": [{"role": "user", "content": f"Count up from {number}, one number on each line."}]})
        began = time.monotonic()
        self.connection.request("POST", "/v1/chat/completions", body,
                                {"Content-Type": "application/json", "x-spillway-priority": priority})
        answer = self.connection.getresponse()
        first = math.nan
        while line := answer.readline():
            if math.isnan(first) and line.startswith(b"data:") and b'"content":"' in line.replace(b'": "', b'":"'):
                first = time.monotonic() - began
        return answer.status, first, float(answer.headers.get("Retry-After") or 0)


def closed_loop(port: int, clients: int, seconds: float) -> tuple[float, list[float]]:
    """Answers a second, and the times to the first token, of that many clients who ask again and again."""
    times: list[float] = []
    end = time.monotonic() + seconds

    def go(seed: int) -> None:
        client = Client(port)
        while time.monotonic() < end:
            status, first, _ = client.ask(random.randrange(10_000) + seed)
            if status == 200 and time.monotonic() < end:
                times.append(first)

    threads = [threading.Thread(target=go, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) / seconds, times


def open_loop(port: int, per_second: float, seconds: float) -> tuple[list[tuple[str, int, float, float]], float]:
    results: list[tuple[str, int, float, float]] = []
    done_in_time = 0
    end = time.monotonic() + seconds

    def one(number: int, priority: str) -> None:
        nonlocal done_in_time
        status, first, later = Client(port).ask(number, priority)
        results.append((priority, status, first, later))
        done_in_time += status == 200 and time.monotonic() < end

    threads = []
    began = time.monotonic()
    for i in range(int(per_second * seconds)):
        time.sleep(max(0.0, began + i / per_second - time.monotonic()))
        # Critical ones are a tenth of what it can do, a hundredth of what comes.
        threads.append(threading.Thread(target=one, args=(i, "critical" if i % 100 == 50 else random.choice(["normal", "batch"]))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return results, done_in_time / seconds


def local(checks: Checks, data: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        config = pathlib.Path(home) / "spillway.toml"
        config.write_text(f"""
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[limits]
max_waiting = 40
max_wait = "10s"
[[backend]]
name = "local"
engine = "llama.cpp"
model = "smollm2:135m"
context = 512
parallel = {SLOTS}
critical_parallel = 1
[[route]]
targets = [{{ backend = "local" }}]
""")
        process = subprocess.Popen([str(BINARY), "--config", str(config), "--data", data, "serve"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        try:
            port = int(process.stdout.readline().rsplit(":", 1)[1])
            Client(port).ask(1)  # until it is loaded
            print("a local engine, asked ten times what it can do", flush=True)
            _, unloaded = closed_loop(port, 1, 8)
            best, _ = closed_loop(port, SLOTS, 10)
            Client(port).ask(0, "critical")  # from now on a place is kept
            results, goodput = open_loop(port, 10 * best, 20)
            critical = [first for priority, status, first, _ in results if priority == "critical" and status == 200]
            shed = [later for _, status, _, later in results if status == 503]
            wrong = sum(status not in (200, 503) for _, status, _, _ in results)
            print(f"  unloaded first token p95 {percentile(unloaded, 0.95) * 1e3:.0f} ms; best {best:.1f} answers/s; at {10 * best:.0f} "
                  f"requests/s: {goodput:.1f} answers/s, {len(shed)} of {len(results)} shed, Retry-After {min(shed):g} to {max(shed):g} s; "
                  f"{len(critical)} critical, first token p50 {percentile(critical, 0.5) * 1e3:.0f} ms")
            checks.hold("goodput, of the best", goodput / best, 0.9, at_most=False)
            checks.hold("critical first token p95, of the unloaded", percentile(critical, 0.95) / percentile(unloaded, 0.95), 1.5)
            checks.hold("neither answered nor shed", wrong, 0)
            checks.hold("shed without a Retry-After", sum(later < 1 for later in shed), 0)
            # Those that obey are answered.
            time.sleep(max(shed))
            _, again = closed_loop(port, SLOTS, 3)
            checks.hold("answered after the time that was told", len(again), 1, at_most=False)
        finally:
            process.terminate()
            process.wait(40)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drill", action="store_true")
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--data", default=os.path.expanduser("~/.local/share/spillway"), help="where the model smollm2:135m is")
    options = parser.parse_args()
    checks = Checks()
    both = not options.drill and not options.local
    if both or options.local:
        local(checks, options.data)
    if both or options.drill:
        drill(checks)
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
