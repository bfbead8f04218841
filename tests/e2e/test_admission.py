"""Who may, and how much at once: judged before a body is read, queued and shed by what the Backends can take."""

from __future__ import annotations

import json

import pytest

from clock import eventually, slow
from gateway import config_text, openai_backend
from http_client import CHAT, Connection, chat, chat_body, get

pytestmark = pytest.mark.sanitized

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
