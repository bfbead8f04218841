"""The running process: drain, reload, limits of what a signal or a changed file may disturb."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time

import pytest

from clock import eventually, slow, stays
from gateway import config_text, openai_backend, timeouts
from http_client import Connection, chat, chat_body, get, open_stream, stream_chat
from replies import LAST_CHUNK, Hold, Send, begun, chunk, delta, events, sse

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded]
STREAM = chat_body(stream=True)
FIRST = events(["first "], finish=None, done=False)
REST = b"".join(map(chunk, [sse(delta({"content": "last"})), sse(delta({}, "stop")), sse("[DONE]")])) + LAST_CHUNK
HELD = begun(FIRST) + [Hold(), Send(REST)]


def backend_names(gateway) -> list[str]:
    return [backend["name"] for backend in json.loads(get(gateway.admin_port, "/admin/v1/status").body)["backends"]]


def health(gateway) -> dict:
    return json.loads(get(gateway.admin_port, "/admin/v1/health").body)


# --- the end ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stream_ends_well_after_the_signal_while_new_connections_are_refused(served, upstream, number):
    upstream.script(HELD)
    with Connection(served.port) as connection:
        reader = open_stream(connection, STREAM)
        reader.next()
        served.signal(number)

        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", served.port), 1).close()
            except OSError:  # refused, or reset out of the queue of the listener that closes
                return True
            return False

        eventually("new connections are refused", refused, 3)
        upstream.release()
        got = reader.rest()
    assert (got.done, got.errors, got.torn) == (1, [], None) and got.text.endswith("last")
    assert served.wait() == 0


def test_a_stream_that_does_not_end_is_cut_off_after_the_drain_timeout(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], server={"drain_timeout": "300ms"}, defaults={"idle_timeout": "60s"}))
    upstream.script(HELD)
    with Connection(served.port) as connection:
        reader = open_stream(connection, STREAM)
        reader.next()
        served.signal(signal.SIGTERM)
        assert served.wait(8) == 0
        got = reader.rest()
    assert got.done == 0


def test_a_second_signal_cuts_off_at_once(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], server={"drain_timeout": "60s"}, defaults={"idle_timeout": "60s"}))
    upstream.script(HELD)
    with Connection(served.port) as connection:
        open_stream(connection, STREAM).next()
        served.signal(signal.SIGTERM)
        eventually("it drains", lambda: "no new requests" in served.stderr)
        served.signal(signal.SIGTERM)
        assert served.wait(5) == 0


def test_an_idle_connection_does_not_hold_up_the_end(served):
    with Connection(served.port) as connection:
        connection.request("GET", "/healthz")
        assert connection.read_answer("GET").status == 200
        served.signal(signal.SIGTERM)
        assert served.wait(2) == 0


def test_nothing_of_the_access_log_is_lost_at_sigterm(served):
    for _ in range(20):
        assert chat(served.port).status == 200
    served.signal(signal.SIGTERM)
    assert served.wait() == 0
    assert len(served.access_log().splitlines()) == 20


def test_at_most_100_ms_of_the_access_log_are_lost_at_sigkill(served):
    answered: list[tuple[str, float]] = []
    begun_at = time.monotonic()
    while time.monotonic() < begun_at + slow(0.5):
        answered.append((chat(served.port).header("x-request-id"), time.monotonic()))
    killed_at = time.monotonic()
    served.kill()
    log = served.access_log()
    due = [request_id for request_id, at in answered if at < killed_at - slow(0.1)]
    assert len(due) > 5 and [request_id for request_id in due if request_id not in log] == []


# --- reload ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["SIGHUP", "file"])
def test_a_changed_config_is_taken_up_and_no_stream_is_dropped(served, upstream, second_upstream, how):
    upstream.script(HELD)
    with Connection(served.port) as connection:
        reader = open_stream(connection, STREAM)
        reader.next()
        served.config_file.write_text(config_text([openai_backend("b", second_upstream.port)]))
        if how == "SIGHUP":
            served.signal(signal.SIGHUP)
        eventually("the new Backend is there", lambda: backend_names(served) == ["b"], 5)
        eventually("it is asked", lambda: chat(served.port).header("x-spillway-backend") == "b", 2)
        upstream.release()
        got = reader.rest()
    assert (got.done, got.errors, got.torn) == (1, [], None) and got.text.endswith("last")


def test_a_kept_connection_sees_the_new_config(served, second_upstream):
    with Connection(served.port) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(chat_body()).encode())
        assert connection.read_answer().header("x-spillway-backend") == "a"
        served.config_file.write_text(config_text([openai_backend("b", second_upstream.port)]))
        served.signal(signal.SIGHUP)
        eventually("the new Backend is there", lambda: backend_names(served) == ["b"], 5)

        def answered_by() -> str:
            connection.request("POST", "/v1/chat/completions", json.dumps(chat_body()).encode())
            return connection.read_answer().header("x-spillway-backend")

        eventually("it answers", lambda: answered_by() == "b", 2)


def test_a_bad_config_is_refused_named_and_the_old_one_goes_on(served, upstream):
    good = served.config_file.read_text()
    served.config_file.write_text(good + "\n[servr]\n")
    served.signal(signal.SIGHUP)
    eventually("the log names the mistake", lambda: "servr" in served.stderr, 5)
    told = health(served)
    assert told["status"] == "degraded" and "servr" in told["config"]["refused"] and str(served.config_file) in told["config"]["refused"]
    assert "spillway_config_refused 1" in served.metrics()
    assert chat(served.port).status == 200
    served.config_file.write_text(good)
    eventually("health is ok again", lambda: health(served)["status"] == "ok", 6)


def test_a_config_with_a_key_that_is_gone_is_refused(gateway, upstream, tmp_path):
    key = tmp_path / "key"
    key.write_text("sk-one\n")
    served = gateway(config_text([openai_backend("a", upstream.port, api_key=f"file:{key}")]))
    assert chat(served.port).status == 200 and upstream.requests[-1].header("authorization") == "Bearer sk-one"
    key.write_text("sk-two\n")  # a rotated key is a change like any other
    eventually("the new key is sent", lambda: chat(served.port).status == 200
               and upstream.requests[-1].header("authorization") == "Bearer sk-two", 6, every=0.1)
    key.unlink()
    eventually("health tells", lambda: health(served)["status"] == "degraded", 6)
    assert chat(served.port).status == 200


def test_what_needs_a_restart_is_told(served):
    text = served.config_file.read_text().replace("threads = 2", "threads = 1")
    served.config_file.write_text(text)
    served.signal(signal.SIGHUP)
    eventually("health tells", lambda: any("server.threads" in problem for problem in health(served)["problems"]), 5)


def test_limits_are_taken_up(served, upstream):
    served.config_file.write_text(config_text([openai_backend("a", upstream.port)], limits={"max_body": "1KiB"}))
    served.signal(signal.SIGHUP)
    eventually("a larger body is refused", lambda: chat(served.port, chat_body("x" * 2000)).status == 413, 5)


def test_many_reloads_under_load_lose_no_request(served, upstream):
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            statuses.append(chat(served.port).status)
            statuses.append(stream_chat(served.port).answer.status)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    text = served.config_file.read_text()
    for count in range(15):
        before = served.stderr.count("took up the changed config")
        served.config_file.write_text(text + f"# {count}\n")
        served.signal(signal.SIGHUP)
        eventually("it is taken up", lambda: served.stderr.count("took up the changed config") > before, 5)
    over.set()
    for client in clients:
        client.join()
    assert len(statuses) > 30 and set(statuses) == {200}


# --- resources -------------------------------------------------------------------------------------------------

def open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_no_descriptor_leaks_over_failures(gateway, refusing_port, upstream):
    served = gateway(config_text([openai_backend("dead", refusing_port), openai_backend("a", upstream.port)], defaults=timeouts()))
    for _ in range(5):
        chat(served.port)
    before = open_descriptors(served.pid)
    for _ in range(100):
        assert chat(served.port).status == 200
    eventually("the descriptors are given back", lambda: open_descriptors(served.pid) <= before + 4, 5)


def test_an_idle_gateway_does_nothing(served):
    def ticks() -> int:
        fields = open(f"/proc/{served.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    chat(served.port)
    before = ticks()
    stays("it lives", lambda: served.process.poll() is None, slow(2), every=0.1)
    assert ticks() - before <= 4  # hundredths of a second of CPU in two seconds


def test_what_it_writes_is_nobody_elses_affair(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    assert chat(served.port).status == 200
    served.access_log_lines(1)
    data = served.home / "data"
    for path in [data, *data.rglob("*")]:
        mode = path.stat().st_mode
        assert mode & 0o027 == 0, (path, oct(mode))
