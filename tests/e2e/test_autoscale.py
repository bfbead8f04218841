"""Standby Replicas on the real engine: they come with a step of load and with a provider's trouble, and go when it is calm."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

from clock import eventually
from replies import error
from gateway import config_text, local_backend, openai_backend, run
from http_client import chat, chat_body, get, stream_chat

pytestmark = pytest.mark.timeout(180)


def status(served) -> dict:
    return get(served.admin_port, "/admin/v1/status").json


def states(served) -> dict[str, str]:
    return {each["name"]: each["state"] for each in status(served)["backends"]}


def scale(served) -> dict:
    return status(served)["autoscale"][0]


class Load:
    """`clients` that ask for short answers again and again until stop(); the times to their first tokens, with when."""

    def __init__(self, port: int, clients: int, pause: float = 0):
        self.pause = pause  # seconds between an answer and the next question
        self.first_tokens: list[tuple[float, float]] = []
        self.failures: list = []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(port, i)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self, port: int, client: int) -> None:
        count = 0
        while not self.ended.wait(self.pause):
            count += 1
            body = chat_body(f"{client} {count}: tell me of the sea.", stream=True, max_tokens=12, temperature=0, ignore_eos=True)
            began = time.monotonic()
            got = stream_chat(port, body, timeout=60)
            if not got.done or got.errors:
                self.failures.append(got)
            else:
                self.first_tokens.append((time.monotonic(), got.times[0] - began))

    def stop(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


@pytest.mark.alone
def test_a_step_of_load_brings_standbys_until_first_tokens_are_in_time_and_calm_ends_them(gateway, model_file, tmp_path):
    backend = {**local_backend(str(model_file)), "standby": 3, "parallel": 1, "context": 512, "cpus": 0.5, "engine_threads": 0}
    rule = {"queue_wait": "0s", "wait_for": "1s", "down_after": "1s"}
    served = gateway(config_text([backend], autoscale=rule)).wait_until_ready(60)
    names = [f"local/{number}" for number in (1, 2, 3, 4)]
    assert states(served) == dict(zip(names, ["ready", "standby", "standby", "standby"]))
    calm = Load(served.port, 1)
    eventually("the calm load runs", lambda: len(calm.first_tokens) >= 10, 30)
    target = 2 * p95([each for _, each in calm.first_tokens])
    served.config_file.write_text(config_text([backend], autoscale={**rule, "first_token": f"{int(target * 1000)}ms"}))
    served.signal(signal.SIGHUP)
    eventually("it is reloaded", lambda: "took up the changed config" in served.stderr, 10)

    before = time.monotonic()
    step = Load(served.port, 3)
    eventually("a standby serves", lambda: states(served)["local/2"] == "ready", 10, every=0.05)
    assert time.monotonic() - before <= 10
    crowded = p95([each for _, each in step.first_tokens])
    assert crowded > target

    def of_late() -> list[float]:
        return [each for _, each in sorted(step.first_tokens + calm.first_tokens)[-40:]]

    count = len(step.first_tokens)
    eventually("first tokens are in time", lambda: len(step.first_tokens) > count + 40 and p95(of_late()) <= target, 60)
    for load in (step, calm):
        load.stop()
    told = scale(served)
    assert told["replicas"] > 1 and told["decisions"][-1]["change"] == 1 and "first tokens take" in told["decisions"][-1]["reason"]
    assert "+1" in run("status", "--admin", f"127.0.0.1:{served.admin_port}", home=tmp_path).stdout

    background = Load(served.port, 1, pause=1)
    eventually("the standbys have gone", lambda: [states(served)[name] for name in names[1:]] == ["standby"] * 3, 60)
    background.stop()
    assert scale(served)["decisions"][0]["change"] == -1
    assert step.failures + calm.failures + background.failures == []
    assert "one replica less" in served.stderr and "calm for" in served.stderr


@pytest.mark.alone
def test_a_busy_processor_brings_a_standby(gateway, model_file):
    rule = {"cpu": 0.5, "cpu_for": "2s", "queue_wait": "0s"}
    served = gateway(config_text([{**local_backend(str(model_file)), "standby": 1, "engine_threads": 0}], autoscale=rule)).wait_until_ready(60)
    load = Load(served.port, 1)
    eventually("the standby serves", lambda: states(served)["local/2"] == "ready", 20)
    load.stop()
    assert "CPU at" in scale(served)["decisions"][0]["reason"] and load.failures == []


@pytest.mark.sanitized
@pytest.mark.threaded
def test_a_provider_that_fails_warms_the_standby_before_its_traffic_comes(gateway, upstream, model_file):
    upstream.script(error(503))
    config = config_text([openai_backend("cloud", upstream.port), {**local_backend(str(model_file)), "standby": 1}])
    served = gateway(config)
    eventually("the local one is ready", lambda: states(served)["local/1"] == "ready", 60)
    for _ in range(8):
        assert chat(served.port, chat_body("hi", max_tokens=2), timeout=60).status == 200
    eventually("the standby is ready", lambda: states(served)["local/2"] == "ready", 20)
    assert "provider cloud" in scale(served)["decisions"][0]["reason"]


@pytest.mark.sanitized
@pytest.mark.threaded
def test_without_autoscale_a_standby_is_none(gateway, model_file):
    served = gateway(config_text([{**local_backend(str(model_file)), "standby": 3}], autoscale={"on": False})).wait_until_ready(60)
    assert states(served) == {"local": "ready"} and status(served)["autoscale"] == []
    json.dumps(status(served))
