"""Who may, and how much at once: judged before a body is read, queued and shed by what the Backends can take."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

from clock import duration, eventually, slow
from gateway import config_text, openai_backend
from http_client import CHAT, Connection, chat, chat_body, get

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded]

MIB = 1 << 20


def head(length: int, *fields: str, target: str = CHAT, method: str = "POST") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# --- before the body -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fields, target, status, code", [
    (["Origin: https://evil.example"], CHAT, 403, "foreign_origin"),
    ([], "/v1/nothing", 404, "not_found"),
    (["Content-Encoding: gzip"], CHAT, 415, "invalid_request"),
    (["Expect: 100-continue", "Origin: https://evil.example"], CHAT, 403, "foreign_origin"),
], ids=["origin", "path", "coding", "expect"])
def test_what_the_head_decides_is_answered_before_the_body(gateway, upstream, fields, target, status, code):
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    with Connection(served.port) as connection:
        connection.send(head(20 * MIB, *fields, target=target) + b"{")
        got = connection.read_answer()
        assert got.status == status and got.error["code"] == code
        assert got.header("connection") == "close"  # the rest of the body is not a request


def test_without_a_key_no_body_is_read(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], server={"require_key": True}))
    with Connection(served.port) as connection:
        connection.send(head(30 * MIB) + b"x" * 100)
        got = connection.read_answer()
        assert got.status == 401 and got.error["code"] == "invalid_key"
    assert "spillway_buffered_bytes 0" in served.metrics()


def test_a_refused_request_whose_body_came_keeps_its_connection(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    body = json.dumps(chat_body(max_tokens=5)).encode()
    with Connection(served.port) as connection:
        connection.send(head(len(body), "Origin: https://evil.example") + body)
        assert connection.read_answer().status == 403
        connection.send(head(len(body)) + body)
        assert connection.read_answer().status == 200


def test_bodies_beyond_what_all_may_hold_are_refused_unread(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_buffered": "16MiB"}))
    with Connection(served.port) as first, Connection(served.port) as second:
        first.send(head(10 * MIB) + b'{"model":')
        eventually("the first is counted", lambda: f"spillway_buffered_bytes {10 * MIB}" in served.metrics(), 2)
        second.send(head(10 * MIB) + b"{")
        got = second.read_answer()
        assert got.status == 503 and got.error["code"] == "queue_full" and got.header("retry-after") == "1"
        # Small ones go on.
        assert chat(served.port, chat_body(max_tokens=5)).status == 200
    eventually("what it held is given back", lambda: "spillway_buffered_bytes 0" in served.metrics(), 2)
    body = json.dumps(chat_body("x" * (10 * MIB), max_tokens=5)).encode()
    for _ in range(3):  # each gives back what it took
        assert chat(served.port, body).status == 200
        eventually("nothing is left", lambda: "spillway_buffered_bytes 0" in served.metrics(), 2)


def test_a_chunked_body_counts_as_it_comes(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_buffered": "1MiB"}))
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with Connection(served.port) as connection:
        connection.send(f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(17):
            connection.send(piece)
        got = connection.read_answer()
        assert got.status == 503 and got.error["code"] == "queue_full"
    eventually("nothing is left", lambda: "spillway_buffered_bytes 0" in served.metrics(), 2)


# --- room, and who waits for it --------------------------------------------------------------------------------

SLOW = {"first_token": duration(0.2), "tokens": 5}


def ask_all(served, fields: list[list[tuple[str, str]]]) -> list:
    """One request for each list of fields, all at once; each begins a moment after the one before."""
    answers: list = [None] * len(fields)

    def one(i: int) -> None:
        answers[i] = (chat(served.port, chat_body(max_tokens=5), fields[i], timeout=slow(20)), time.monotonic())

    threads = []
    for i in range(len(fields)):
        threads.append(threading.Thread(target=one, args=(i,)))
        threads[-1].start()
        time.sleep(slow(0.01))
    for thread in threads:
        thread.join()
    return answers


def test_more_than_max_concurrency_wait_for_the_only_target(gateway, simulated):
    provider = simulated(SLOW)
    served = gateway(config_text([openai_backend("a", provider.port, max_concurrency=2)]))
    began = time.monotonic()
    answers = ask_all(served, [[] for _ in range(6)])
    assert [got.status for got, _ in answers] == [200] * 6
    assert time.monotonic() - began >= 3 * slow(0.2)
    lines = [json.loads(line)["attempts"][0] for line in served.access_log_lines(6)]
    assert sum(line.get("queued_ms", 0) > slow(50) for line in lines) == 4
    assert 'spillway_backend_limit{backend="a"} 2' in served.metrics()


def test_more_than_max_concurrency_go_elsewhere(gateway, simulated):
    first, second = simulated(SLOW), simulated({})
    served = gateway(config_text([openai_backend("a", first.port, max_concurrency=2), openai_backend("b", second.port)]))
    answers = ask_all(served, [[] for _ in range(5)])
    assert sorted(got.header("x-spillway-backend") for got, _ in answers) == ["a", "a", "b", "b", "b"]
    assert all(got.header("x-spillway-attempts") == "1" for got, _ in answers)


def test_the_higher_priority_goes_first(gateway, simulated):
    served = gateway(config_text([openai_backend("a", simulated(SLOW).port, max_concurrency=1)]))
    order = ["normal", "normal", "batch", "normal", "high"]
    answers = ask_all(served, [[("x-spillway-priority", word)] for word in order])
    assert [got.status for got, _ in answers] == [200] * 5
    by_end = [order[i] for i in sorted(range(5), key=lambda i: answers[i][1])]
    assert by_end[1:] == ["high", "normal", "normal", "batch"]


def test_a_critical_one_need_not_wait(gateway, simulated):
    served = gateway(config_text([openai_backend("a", simulated({"first_token": duration(0.6), "tokens": 5}).port, max_concurrency=2)]))
    critical = [("x-spillway-priority", "critical")]
    assert chat(served.port, chat_body(max_tokens=5), critical).status == 200  # from now on a place is kept
    answers = ask_all(served, [[], [], critical])
    ends = [at for _, at in answers]
    assert ends[0] < ends[2] < ends[1] and ends[2] - ends[0] < slow(0.3)


def test_a_priority_that_is_none_is_refused(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    got = chat(served.port, chat_body(), [("x-spillway-priority", "urgent")])
    assert got.status == 400 and got.error["code"] == "invalid_request" and "critical, high, normal or batch" in got.error["message"]
    assert not upstream.requests


def test_what_would_wait_too_long_is_shed_and_the_time_that_is_told_works(gateway, simulated):
    served = gateway(config_text([openai_backend("a", simulated(SLOW).port, max_concurrency=1)],
                                 limits={"max_waiting": 2}))
    answers = [got for got, _ in ask_all(served, [[] for _ in range(6)])]
    shed = [got for got in answers if got.status != 200]
    assert len(shed) == 3
    for got in shed:
        assert got.status == 503 and got.error["code"] == "queue_full"
        assert 1 <= int(got.header("retry-after")) <= 60
    assert 'spillway_attempts_total{backend="a",class="shed"} 3' in served.metrics()
    status = json.loads(get(served.admin_port, "/admin/v1/status").body)["backends"][0]
    assert status["limit"] == 1 and status["waiting"] == 0 and status["share"] == 1 and status["first_token_ms"] > 100
    time.sleep(min(int(got.header("retry-after")) for got in shed))
    assert chat(served.port, chat_body(max_tokens=5)).status == 200


def test_a_wait_beyond_max_wait_or_the_deadline_is_not_begun(gateway, simulated):
    served = gateway(config_text([openai_backend("a", simulated(SLOW).port, max_concurrency=1)], limits={"max_wait": duration(0.3)}))
    for _ in range(2):
        assert chat(served.port, chat_body(max_tokens=5)).status == 200  # how long one takes is known now
    answers = [got.status for got, _ in ask_all(served, [[] for _ in range(6)])]
    assert answers.count(200) in (2, 3) and answers.count(503) == 6 - answers.count(200)
    answers = [got for got, _ in ask_all(served, [[], [("x-spillway-deadline-ms", str(round(slow(30))))]])]
    assert answers[0].status == 200 and answers[1].status == 503 and answers[1].error["code"] == "queue_full"


def test_a_client_that_leaves_the_queue_makes_room(gateway, simulated):
    served = gateway(config_text([openai_backend("a", simulated({"first_token": duration(0.5), "tokens": 5}).port, max_concurrency=1)],
                                 limits={"max_waiting": 1}))
    with Connection(served.port) as first, Connection(served.port) as waits:
        body = json.dumps(chat_body(max_tokens=5)).encode()
        first.send(head(len(body)) + body)
        waiting = lambda: json.loads(get(served.admin_port, "/admin/v1/status").body)["backends"][0]
        eventually("the first is inside", lambda: waiting()["in_flight"] == 1, 2)
        waits.send(head(len(body)) + body)
        eventually("one waits", lambda: waiting()["waiting"] == 1, 2)
        assert chat(served.port, chat_body()).status == 503
        waits.close()
        eventually("it has left", lambda: waiting()["waiting"] == 0, 2)
        assert first.read_answer().status == 200
    assert chat(served.port, chat_body(max_tokens=5)).status == 200


def test_a_rate_is_obeyed_by_going_elsewhere(gateway, simulated):
    first, second = simulated({}), simulated({})
    served = gateway(config_text([openai_backend("a", first.port, rate="3/h"), openai_backend("b", second.port)]))
    assert [chat(served.port, chat_body(max_tokens=5)).header("x-spillway-backend") for _ in range(6)] == ["a"] * 3 + ["b"] * 3


def test_a_rate_is_obeyed_by_waiting_where_there_is_no_other(gateway, simulated):
    provider = simulated({})
    served = gateway(config_text([openai_backend("a", provider.port, rate="4/s")]))
    began = time.monotonic()
    answers = ask_all(served, [[] for _ in range(9)])
    assert [got.status for got, _ in answers] == [200] * 9
    assert time.monotonic() - began >= 2.0  # the ninth is in the third window of a second
    assert chat(served.port, chat_body(max_tokens=5), [("x-spillway-deadline-ms", "20")]).status in (200, 503, 504)


def test_a_reload_changes_the_limit(gateway, simulated):
    config = [openai_backend("a", simulated(SLOW).port, max_concurrency=1)]
    served = gateway(config_text(config))
    config[0]["max_concurrency"] = 3
    served.config_file.write_text(config_text(config))
    served.signal(signal.SIGHUP)
    eventually("it is taken up", lambda: 'spillway_backend_limit{backend="a"} 3' in served.metrics(), 8)
