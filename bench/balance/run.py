#!/usr/bin/env python3
"""Two real engines behind one Backend: the mean time to the first token under `balance = "prefix"`, as a ratio to `"least"`.

  script/bench balance [--requests 60] [--rate 0.7] [--rounds 2]

The first quarter of the requests warms the engines, and does not count. Each workload is asked under both, in turns, with the same requests at the same times (an open loop, exponential gaps). An engine
holds what its slots hold (its cache in main memory is off), as one whose keys and values fill its memory does.

  groups    90 % of the requests begin with one of 8 long texts
  none      no two requests begin alike
  one       26 % begin with the same long text, the others with their own
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = "river stone light market engine garden window paper copper violet harbour winter signal thread canyon lantern".split()


TEXT_WORDS = 150  # of a long text: some 250 tokens, which take an engine of one thread about a second


def text(dice: random.Random, words: int) -> str:
    return " ".join(dice.choice(WORDS) for _ in range(words))


def requests_of(workload: str, count: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    groups = [text(dice, TEXT_WORDS) for _ in range(8)]
    share = {"groups": 0.9, "none": 0.0, "one": 0.26}[workload]
    out = []
    for _ in range(count):
        beginning = text(dice, TEXT_WORDS)
        if dice.random() < share:
            beginning = groups[0] if workload == "one" else dice.choice(groups)
        out.append(beginning + ". And now: " + text(dice, 12) + "?")
    return out


class Gateway:
    def __init__(self, binary: Path, data: Path, model: str, balance: str, folder: Path):
        (folder / "spillway.toml").write_text(
            '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n[defaults]\nfirst_token_timeout = "60s"\n'
            f'[breaker]\non = false\n[[backend]]\nname = "local"\nengine = "llama.cpp"\nmodel = "{model}"\nreplicas = 2\nparallel = 4\n'
            f'context = 1024\nbalance = "{balance}"\nengine_args = ["--cache-ram", "0"]\n')
        self.process = subprocess.Popen([binary, "--config", folder / "spillway.toml", "--data", data, "serve"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = 0
        while not self.port:
            found = re.search(r"listening on http://127.0.0.1:(\d+)", self.process.stdout.readline())
            self.port = int(found.group(1)) if found else 0
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        while self.status("/readyz") != 200 or self.ready() < 2:
            time.sleep(0.1)

    def status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", path)
        return connection.getresponse().status

    def ready(self) -> int:
        listed = subprocess.run(["pgrep", "-c", "-P", str(self.process.pid), "llama-server"], capture_output=True, text=True).stdout
        return int(listed or 0)

    def first_token(self, prompt: str) -> float:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        body = {"model": "m", "stream": True, "max_tokens": 8, "messages": [{"role": "user", "content": prompt}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        took = None
        for line in answer:
            if took is None and b'"content":"' in line and b'"content":""' not in line:
                took = time.monotonic() - began
        assert took is not None
        return took

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def mean_first_token(gateway: Gateway, prompts: list[str], rate: float, seed: int) -> float:
    dice = random.Random(seed)
    times: dict[int, float] = {}
    threads = []
    at = time.monotonic()
    for number, prompt in enumerate(prompts):
        at += dice.expovariate(rate)
        time.sleep(max(0.0, at - time.monotonic()))
        threads.append(threading.Thread(target=lambda number=number, prompt=prompt: times.update({number: gateway.first_token(prompt)})))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert len(times) == len(prompts), f"{len(prompts) - len(times)} requests failed"
    return statistics.mean(took for number, took in times.items() if number >= len(prompts) // 4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "build/release/spillway")
    parser.add_argument("--data", type=Path, default=os.environ.get("SPILLWAY_TEST_DATA", Path.home() / ".local/share/spillway"))
    parser.add_argument("--model", default="smollm2:135m")
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0.7, help="requests a second")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workload", choices=["groups", "none", "one"], action="append")
    options = parser.parse_args()
    for workload in options.workload or ["groups", "none", "one"]:
        means: dict[str, list[float]] = {"prefix": [], "least": []}
        for number in range(options.rounds):
            prompts = requests_of(workload, options.requests, number)
            for balance in (("prefix", "least") if number % 2 == 0 else ("least", "prefix")):
                with tempfile.TemporaryDirectory() as folder:
                    gateway = Gateway(options.binary, options.data, options.model, balance, Path(folder))
                    try:
                        means[balance].append(mean_first_token(gateway, prompts, options.rate, number))
                    finally:
                        gateway.stop()
        prefix, least = (statistics.mean(means[balance]) for balance in ("prefix", "least"))
        print(f"{workload:8} prefix {prefix * 1000:6.0f} ms   least {least * 1000:6.0f} ms   ratio {prefix / least:.2f}   "
              f"rounds {' '.join(f'{a / b:.2f}' for a, b in zip(means['prefix'], means['least']))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
