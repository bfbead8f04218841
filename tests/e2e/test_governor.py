"""[governor]: how busy an engine is, held at a set point by what is let in; critical requests do not notice."""

from __future__ import annotations

import re
import threading
import time

import pytest

from clock import eventually
from gateway import binary, config_text, local_backend, run
from http_client import chat, chat_body, get, stream_chat
from processes import processor_seconds

pytestmark = pytest.mark.timeout(180)

CRITICAL = [("x-spillway-priority", "critical")]


def backend(served) -> dict:
    return get(served.admin_port, "/admin/v1/status").json["backends"][0]


class Overload:
    """So many clients of a priority that ask again and again; how many were answered."""

    def __init__(self, port: int, clients: int, priority: str):
        self.answered = 0
        self.failures = []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(port, priority, i)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self, port: int, priority: str, client: int) -> None:
        while not self.ended.is_set():
            got = chat(port, chat_body(f"{client}: tell me of the sea", max_tokens=20, ignore_eos=True),
                       [("x-spillway-priority", priority)], timeout=90)
            if got.status == 200:
                self.answered += 1
            elif not self.ended.is_set():
                self.failures.append(got)

    def stop(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def first_token_of_a_critical_one(served, number: int) -> float:
    began = time.monotonic()
    got = stream_chat(served.port, chat_body(f"Critical {number}: " + "what is to be done? " * 4, stream=True, max_tokens=2), CRITICAL, timeout=60)
    assert got.done and not got.errors
    return got.times[0] - began


@pytest.mark.alone
def test_an_engine_under_overload_is_as_busy_as_the_set_point_says(gateway, model_file, tmp_path):
    # Half a processor for the engine, which it gets on a busy machine as well.
    local = {**local_backend(str(model_file)), "parallel": 2, "critical_parallel": 1, "cpus": 0.5, "engine_threads": 0}
    served = gateway(config_text([local], governor={"on": True}, limits={"max_wait": "90s"})).wait_until_ready(60)
    unloaded = sorted(first_token_of_a_critical_one(served, i) for i in range(10))
    normal = Overload(served.port, 3, "normal")
    batch = Overload(served.port, 1, "batch")
    eventually("the pause's bank is spent", lambda: normal.answered >= 6, 40)
    answered = (normal.answered, batch.answered)
    pid = backend(served)["pid"]
    began = (processor_seconds(pid), time.monotonic())
    loaded = []
    while time.monotonic() - began[1] < 20:
        loaded.append(first_token_of_a_critical_one(served, len(loaded) + 100))
        time.sleep(0.7)  # its own work has to be a small part
    use = (processor_seconds(pid) - began[0]) / (time.monotonic() - began[1]) / 0.5
    progress = (normal.answered - answered[0], batch.answered - answered[1])
    told = run("status", "--admin", f"127.0.0.1:{served.admin_port}", home=tmp_path).stdout
    for load in (normal, batch):
        load.stop()
    print(f"use {use:.3f}, unloaded {unloaded[-1]:.3f} s, loaded p95 {sorted(loaded)[int(len(loaded) * 0.95)]:.3f} s, {progress}")
    assert abs(use - 0.75) <= 0.04, use
    busy = re.search(r"governor local: busy (\d+) % \(set point 75 %\)", told)
    assert busy and 65 <= int(busy.group(1)) <= 85, told  # over a minute, of which the beginning is a part
    assert progress[0] > 5 and progress[1] <= 1, progress
    assert normal.failures == []
    # The engine computes tokens of others beside a critical one's prompt, which is not the governor's doing.
    assert sorted(loaded)[int(len(loaded) * 0.95)] <= 1.5 * unloaded[-1] + 0.1, (unloaded, loaded)


def test_a_busy_gpu_holds_all_but_critical_ones(gateway, model_file, tmp_path):
    use = tmp_path / "use"
    use.write_text("97")
    env = {"LD_LIBRARY_PATH": str(binary().parent / "tests/fleet/nvml"), "FAKE_NVML": "NVIDIA T4|16000000000", "FAKE_NVML_USE": str(use)}
    local = {**local_backend(str(model_file)), "critical_parallel": 1, "engine_threads": 0}
    served = gateway(config_text([local], governor={"on": True}), env=env).wait_until_ready(60)
    eventually("nothing more is let in", lambda: backend(served)["cap"] == 0 and backend(served)["governed"], 20)
    results = []
    thread = threading.Thread(target=lambda: results.append(chat(served.port, chat_body("hi", max_tokens=2), timeout=60)))
    thread.start()
    eventually("it waits", lambda: backend(served)["waiting"] == 1, 10)
    assert chat(served.port, chat_body("hi", max_tokens=2), CRITICAL, timeout=30).status == 200
    assert results == []
    use.write_text("40")
    thread.join(30)
    assert [each.status for each in results] == [200]


@pytest.mark.sanitized
@pytest.mark.threaded
def test_without_a_governor_nothing_is_held(gateway, model_file):
    served = gateway(config_text([local_backend(str(model_file))])).wait_until_ready(60)
    assert backend(served)["governed"] is False
    assert chat(served.port, chat_body("hi", max_tokens=2), timeout=30).status == 200
