"""An outage of a minute at 20 requests a second, played in a tenth of the time: ten times the rate, a tenth of all durations."""

from __future__ import annotations

import json
import threading
import time

import pytest

from gateway import config_text, openai_backend
from http_client import chat, chat_body, get

RATE = 200          # a second
BEGIN, END, UNTIL = 2.0, 8.0, 12.0  # of the outage, and of the requests; seconds of the provider's day
FASTER = 10         # than what the defaults are made for
DAY = {"length": "14400ms", "starts_at": "00:00", "peak_from": "03:20", "peak_to": "13:20", "latency": 1, "error_rate": 1.0}


def test_a_minute_without_the_primary_is_not_noticed(gateway, simulated):
    primary = simulated({"first_token": "5ms", "tokens": 3, "day": DAY})
    other = simulated({"first_token": "8ms", "tokens": 3})
    breaker = {"window": "1s", "probe_interval": "400ms"}
    served = gateway(config_text([openai_backend("a", primary.port), openai_backend("b", other.port)], breaker=breaker))
    samples: list[tuple[float, int, str]] = []
    lock = threading.Lock()
    began = time.monotonic() - primary.stats["time_of_day"] / 100  # a second is 100 minutes of its day
    first = time.monotonic() - began
    assert first < BEGIN - 0.5, "it took too long to start"

    def ask(due: float) -> None:
        got = chat(served.port, chat_body(max_tokens=3))
        with lock:
            samples.append((due, got.status, got.header("x-spillway-backend") or ""))

    threads = []
    for i in range(int(RATE * (UNTIL - first))):
        due = first + i / RATE
        time.sleep(max(0.0, began + due - time.monotonic()))
        threads.append(threading.Thread(target=ask, args=(due,)))
        threads[-1].start()
    for thread in threads:
        thread.join()

    assert all(status == 200 for _, status, _ in samples)
    lines = [json.loads(line) for line in served.access_log_lines(len(samples))]
    touched = sum(attempt["backend"] == "a" and attempt["class"] == "overload" for line in lines for attempt in line["attempts"])
    assert touched <= 0.03 * RATE * (END - BEGIN)
    back = [due for due, _, backend in samples if backend == "a" and due > END]
    assert min(back) - END <= 16 / FASTER
    # All of it is back within 30 s, in the rehearsal 3.
    late = [backend for due, _, backend in samples if due > END + 30 / FASTER]
    assert late and late.count("a") / len(late) > 0.99
    assert json.loads(get(served.admin_port, "/admin/v1/status").body)["backends"][0]["share"] == 1
