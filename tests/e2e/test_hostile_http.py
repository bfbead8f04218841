"""Malformed and hostile HTTP: refused with a clear answer or a close, and no byte of it reaches a Backend."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from clock import slow
from gateway import config_text, openai_backend
from http_client import Connection, chat, get
from http_vectors import HOSTILE, LENGTH, SECOND, post

@pytest.fixture(scope="module")
def served(module_gateway, module_upstream):
    return module_gateway(config_text([openai_backend("a", module_upstream.port)], limits={"header_timeout": "2s", "body_timeout": "2s"}))


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_refused_and_reach_no_backend(served, module_upstream, sent):
    module_upstream.requests.clear()
    before = module_upstream.bytes_received
    with Connection(served.port) as connection:
        try:
            connection.send(sent)
        except ConnectionError:
            pass  # refused before all of it was taken
        while connection.fill():
            pass
        if connection.buffer:
            answer = connection.read_answer()
            assert 400 <= answer.status < 500 or answer.status in (501, 505), answer
            assert answer.header("content-type").startswith("application/json")
            assert answer.error["message"] and answer.error["code"]
            assert (answer.header("connection") or "").lower() == "close"
            assert not connection.buffer, f"more than one answer: {bytes(connection.buffer[:300])!r}"
    assert module_upstream.requests == [] and module_upstream.bytes_received == before
    assert get(served.port, "/healthz").status == 200


# What must not only be refused but refused with this very status.
EXACT = {"a huge header": 431, "too many headers": 431, "content-length beyond the limit": 413, "HTTP/2.0 in the request line": 505,
         "no host": 400, "two hosts": 400, "content-length and transfer-encoding": 400, "obs-fold": 400}


@pytest.mark.parametrize("name", EXACT)
def test_the_status_says_what_is_wrong(served, name):
    with Connection(served.port) as connection:
        try:
            connection.send(HOSTILE[name])
        except ConnectionError:
            pass
        assert connection.read_answer().status == EXACT[name]


@pytest.mark.parametrize("name", ["chunk size not hexadecimal", "content-length and transfer-encoding", "obs-fold"])
def test_a_request_behind_a_refused_one_is_not_served(served, module_upstream, name):
    module_upstream.requests.clear()
    with Connection(served.port) as connection:
        connection.send(HOSTILE[name] + SECOND)
        connection.read_answer()
        assert connection.read_to_end() == b""
    assert module_upstream.requests == []


@pytest.mark.parametrize("header", [b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
                                    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"],
                         ids=["websocket", "h2c"])
def test_an_upgrade_is_never_made(served, module_upstream, header):
    with Connection(served.port) as connection:
        connection.send(post(header, LENGTH))
        answer = connection.read_answer()
    assert answer.status == 200 or 400 <= answer.status < 500
    for request in module_upstream.requests:
        assert request.header("upgrade") is None and request.header("http2-settings") is None


def test_the_table_of_the_docs_tells_the_truth(served):
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.count("|") == 6]
    rows = [row for row in rows if row[0] in HOSTILE]
    assert len(rows) > 20
    for name, told, *_, why in rows:
        with Connection(served.port) as connection:
            connection.send(HOSTILE[name])
            assert str(connection.read_answer().status) == told, name
        assert why, name


def test_absolute_form_of_our_own_host_is_served_or_refused(served):
    with Connection(served.port) as connection:
        connection.send(b"GET http://127.0.0.1:%d/healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (served.port, served.port))
        assert connection.read_answer().status in (200, 400)


def test_a_real_tls_client_on_the_plain_port_is_refused_at_once(served):
    with Connection(served.port) as connection, pytest.raises((ssl.SSLError, ConnectionError)):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.wrap_socket(connection.socket)


def test_hostile_bytes_one_by_one_end_alike(served, module_upstream):
    module_upstream.requests.clear()
    for name in ("content-length and transfer-encoding", "chunk size with 0x", "space before colon", "two hosts"):
        with Connection(served.port) as connection:
            for byte in HOSTILE[name]:
                try:
                    connection.send(bytes([byte]))
                except ConnectionError:
                    break
            assert 400 <= connection.read_answer().status < 500
    assert module_upstream.requests == []


def test_after_all_that_requests_are_served(served):
    assert chat(served.port, timeout=slow(5)).status == 200
