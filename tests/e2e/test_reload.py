"""Reloads in every state: who waits, answers or drains goes on with what the config says now, elsewhere, or is told why not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time

import pytest

from clock import eventually, slow
from gateway import config_text, local_backend, openai_backend, timeouts
from http_client import Connection, chat, chat_body, get
from processes import children, engines, processor_seconds
from speakers import says

SHORT = chat_body("Say hello.", max_tokens=4, temperature=0)


class Asking:
    """One request in a thread of its own."""

    def __init__(self, port: int, streamed: bool, **fields):
        self.got = None
        self.streamed = streamed
        body = {**SHORT, "stream": streamed}
        self.thread = threading.Thread(target=self._ask, args=(port, body, fields))
        self.thread.start()

    def _ask(self, port, body, fields) -> None:
        self.got = chat(port, body, timeout=60, **fields)

    def result(self):
        self.thread.join(60)
        assert not self.thread.is_alive(), "it is not answered"
        return self.got


def reload(served, text: str) -> None:
    before = served.stderr.count("took up the changed config")
    served.config_file.write_text(text)
    served.signal(signal.SIGHUP)
    eventually("it is taken up", lambda: served.stderr.count("took up the changed config") > before, 10)


def waiting(served) -> int:
    backends = json.loads(get(served.admin_port, "/admin/v1/status").body)["backends"]
    return sum(sum(each.get("waiting", {}).values()) if isinstance(each.get("waiting"), dict) else each.get("waiting", 0) for each in backends)


@pytest.fixture
def other_model(model_file, tmp_path):
    copy = tmp_path / "other-model.gguf"
    try:
        os.link(model_file, copy)
    except OSError:
        shutil.copy(model_file, copy)
    return copy


CHANGES = {
    "another model": lambda file, other, port: ([local_backend(str(other))], None, "local"),
    "another context": lambda file, other, port: ([local_backend(str(file), context=1024)], None, "local"),
    "another name": lambda file, other, port: ([{**local_backend(str(file)), "name": "mine"}], None, "mine"),
    "one Replica": lambda file, other, port: ([local_backend(str(file))], None, "local"),
    "two Replicas": lambda file, other, port: ([local_backend(str(file), replicas=2)], None, "local"),
    "a provider in its place": lambda file, other, port: ([openai_backend("cloud", port)], None, "cloud"),
    "a provider of its name": lambda file, other, port: ([{**openai_backend("local", port)}], None, "local"),
    "a provider beside it": lambda file, other, port: (
        [local_backend(str(other)), openai_backend("cloud", port)],
        [{"model": "*", "targets": [{"backend": "cloud"}, {"backend": "local"}]}], "cloud"),
}


@pytest.mark.parametrize("replicas,change", [*((1, change) for change in CHANGES if change != "one Replica"), (2, "another model"), (2, "another name"), (2, "one Replica")])
def test_who_waits_for_an_engine_that_loads_is_answered_by_what_comes_in_its_place(gateway, upstream, model_file, other_model, held_engine, change, replicas):
    env, gate = held_engine
    upstream.script(says("openai"))
    more = {"replicas": replicas} if replicas > 1 else {}
    served = gateway(config_text([local_backend(str(model_file), **more)], defaults=timeouts(8, 4)), env=env, wait=False)
    served.port
    asked = [Asking(served.port, streamed) for streamed in (False, True, False)]
    eventually("they wait", lambda: waiting(served) >= 3, 10)
    backends, routes, answers = CHANGES[change](model_file, other_model, upstream.port)
    reload(served, config_text(backends, routes, defaults=timeouts(8, 4)) if routes else config_text(backends, defaults=timeouts(8, 4)))
    began, at = processor_seconds(served.pid), time.monotonic()
    while time.monotonic() - at < 0.4:  # nobody spins meanwhile
        get(served.admin_port, "/admin/v1/status")
        time.sleep(0.05)
    assert processor_seconds(served.pid) - began < slow(0.2)
    gate.touch()
    for one in asked:
        got = one.result()
        assert got.status == 200, got.body
        assert got.header("x-spillway-backend") == answers
    # And so are those that come now.
    assert Asking(served.port, False).result().status == 200


def test_what_loads_goes_on_under_another_name(gateway, model_file, held_engine):
    env, gate = held_engine
    served = gateway(config_text([local_backend(str(model_file))]), env=env, wait=False)
    served.port
    (engine,) = eventually("it is started", lambda: len(found := children(served.pid)) == 1 and found, 10)
    asked = Asking(served.port, False)
    eventually("it waits", lambda: waiting(served) == 1, 10)
    reload(served, config_text([local_backend(str(model_file), replicas=2)]))
    assert engine in children(served.pid)
    gate.touch()
    assert asked.result().status == 200
    pids = {each["name"]: each.get("pid") for each in json.loads(get(served.admin_port, "/admin/v1/status").body)["backends"]}
    assert engine in pids.values(), pids


def test_who_waits_for_what_nobody_serves_any_more_is_told(gateway, upstream, model_file, held_engine):
    env, _ = held_engine
    served = gateway(config_text([local_backend(str(model_file))]), env=env, wait=False)
    served.port
    asked = [Asking(served.port, streamed) for streamed in (False, True)]
    eventually("they wait", lambda: waiting(served) == 2, 10)
    reload(served, config_text([openai_backend("cloud", upstream.port)], [{"model": "something-else", "targets": [{"backend": "cloud"}]}]))
    for one in asked:
        got = one.result()
        assert got.status in (404, 502), got.body
        assert "replaced" in got.error["message"] or got.error["code"] == "no_target", got.body


@pytest.mark.parametrize("ends", ["deadline", "client", "SIGTERM"])
def test_after_a_reload_a_request_still_ends_when_it_has_to(gateway, model_file, other_model, held_engine, ends):
    env, gate = held_engine
    served = gateway(config_text([local_backend(str(model_file))], server={"drain_timeout": "300ms"}), env=env, wait=False)
    served.port
    fields = {"headers": [("x-spillway-deadline-ms", "1500")]} if ends == "deadline" else {}
    if ends == "client":
        connection = Connection(served.port, timeout=20)
        connection.request("POST", "/v1/chat/completions", json.dumps(SHORT).encode(), [("Content-Type", "application/json")])
        asked = None
    else:
        asked = Asking(served.port, False, **fields)
    eventually("it waits", lambda: waiting(served) == 1, 10)
    reload(served, config_text([local_backend(str(other_model))], server={"drain_timeout": "300ms"}))
    eventually("it waits for the new one", lambda: waiting(served) == 1, 10)
    if ends == "client":
        connection.close()
        eventually("nobody waits", lambda: waiting(served) == 0, 10)
    elif ends == "deadline":
        got = asked.result()
        assert (got.status, got.error["code"]) == (504, "deadline_exceeded"), got.body
    else:
        served.signal(signal.SIGTERM)
        assert served.wait(20) == 0
        asked.thread.join(10)
        return
    gate.touch()
    served.wait_until_ready()
    assert chat(served.port, SHORT, timeout=60).status == 200


def test_a_limit_that_is_raised_lets_in_who_waits(gateway, upstream):
    from replies import Hold, Reply
    upstream.script(lambda request: Reply((Hold(),)) + says("openai")(request))

    def config(limit: int) -> str:
        return config_text([openai_backend("a", upstream.port, max_concurrency=limit)], defaults=timeouts(20, 20))
    served = gateway(config(1))
    asked = [Asking(served.port, False) for _ in range(4)]
    eventually("one is asked", lambda: len(upstream.requests) == 1, 10)
    eventually("three wait", lambda: waiting(served) == 3, 10)
    reload(served, config(3))
    eventually("two more are let in", lambda: len(upstream.requests) == 3, 5)
    reload(served, config(8))
    eventually("so is the last", lambda: len(upstream.requests) == 4, 5)
    upstream.release()
    assert [one.result().status for one in asked] == [200] * 4


def test_a_hang_timeout_that_is_changed_holds_for_the_engine_that_runs(gateway, model_file):
    served = gateway(config_text([local_backend(str(model_file), hang_timeout="10m")])).wait_until_ready()
    (engine,) = engines(served.pid)
    reload(served, config_text([local_backend(str(model_file), hang_timeout="500ms")]))
    os.kill(engine, signal.SIGSTOP)
    asked = Asking(served.port, False)
    eventually("it is ended, and another one runs", lambda: (found := engines(served.pid)) and engine not in found, 30)
    asked.result()
