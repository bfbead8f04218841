"""Many streams, and what is left behind: nothing."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from gateway import config_text, openai_backend
from simulated import Simulated, streams

KINDS = ["reset", "end", "error_event", "bad_json", "bad_chunk", "cut_in_character", "cut_in_word", "cut_in_field", "503"]


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kib(pid: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


@pytest.mark.timeout(240)
def test_20_000_streams_leave_neither_memory_nor_descriptors_behind(gateway, tmp_path):
    quick = {"tokens_per_second": 0, "first_token": "0ms", "tokens": 10}
    first = Simulated(tmp_path / "first", {**quick, "fault": [{"kind": kind, "probability": 0.2 / len(KINDS)} for kind in KINDS]}, ["--json"])
    second = Simulated(tmp_path / "second", quick, ["--json"])
    served = gateway(config_text([openai_backend("a", first.port), openai_backend("b", second.port)], breaker={"on": False}))
    questions = [f"question {i % 7}" for i in range(10_000)]
    asyncio.run(streams(served.port, questions, 50))             # pools and buffers fill
    before = resident_kib(served.pid), descriptors(served.pid)
    for _ in range(2):
        assert "" not in asyncio.run(streams(served.port, questions, 50))
    assert first.stats["requests"] == 30_000 and first.stats["broken"] > 3_000
    # Connections to providers are kept, up to as many as were needed at once.
    assert descriptors(served.pid) <= before[1] + 30 and resident_kib(served.pid) < before[0] + 8_192
    for one in (first, second):
        one.stop()
