"""Backends over TLS: verified certificates, SNI, kept connections."""

from __future__ import annotations

import json
import signal
import socketserver
import threading
import time

import pytest

from clock import SLOW, eventually, slow
from fake_upstream import FakeUpstream
from gateway import config_text, openai_backend, timeouts
from http_client import chat, stream_chat
from processes import resident_bytes
from replies import Close, answer
from tls_files import make_authority


@pytest.fixture
def secure(authority):
    with FakeUpstream(tls=authority.server_context()) as upstream:
        yield upstream


def gateway_for(gateway, upstream, authority, host="localhost", ca=True):
    more = {"ca_file": str(authority.ca_file)} if ca else {}
    return gateway(config_text([openai_backend("a", f"https://{host}:{upstream.port}/v1", **more)], defaults=timeouts(2, 2)))


def test_a_trusted_backend_answers_and_is_told_its_name(gateway, secure, authority):
    served = gateway_for(gateway, secure, authority)
    assert chat(served.port).status == 200
    got = stream_chat(served.port)
    assert got.done == 1 and got.text == "Hello there"
    assert secure.requests[0].sni == "localhost"
    assert secure.requests[0].header("host") == f"localhost:{secure.port}"


def test_an_address_is_verified_too_and_sends_no_server_name(gateway, secure, authority):
    served = gateway_for(gateway, secure, authority, host="127.0.0.1")
    assert chat(served.port).status == 200
    assert secure.requests[0].sni is None  # RFC 6066: no literal addresses


def test_connections_are_kept(gateway, secure, authority):
    served = gateway(config_text([openai_backend("a", f"https://localhost:{secure.port}/v1", ca_file=str(authority.ca_file))],
                                 server={"threads": 1}))
    eventually("one is kept warm", lambda: len(secure.connections) == 1, 3)
    for _ in range(10):
        assert chat(served.port).status == 200
    assert len(secure.connections) == 1


def connect_times(served, count: int) -> list[float]:
    """Of each request's only Attempt; 0 where the connection was there already."""
    return [json.loads(line)["attempts"][0].get("connect_ms", 0) for line in served.access_log_lines(count)]


def test_a_connection_is_there_before_the_first_request_and_after_a_silence(gateway, secure, authority):
    served = gateway(config_text([openai_backend("a", f"https://localhost:{secure.port}/v1", ca_file=str(authority.ca_file))],
                                 server={"threads": 1}))
    eventually("one is opened ahead", lambda: len(secure.connections) == 1, 3)
    assert chat(served.port).status == 200
    for silence in (2, 3):
        # The provider ends what is idle, as all of them do after a minute or so.
        secure.close_connections()
        eventually("another is opened", lambda: len(secure.connections) == silence, 3)
        assert chat(served.port).status == 200
    assert connect_times(served, 3) == [0, 0, 0]
    assert len(secure.requests) == 3  # nothing was sent to keep them warm


def test_a_provider_that_ends_each_connection_at_once_is_not_pestered(gateway, secure, authority):
    served = gateway(config_text([openai_backend("a", f"https://localhost:{secure.port}/v1", ca_file=str(authority.ca_file))],
                                 server={"threads": 1}))
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        secure.close_connections()
        time.sleep(0.005)
    assert 2 <= len(secure.connections) <= 6  # after 0.1, 0.2, 0.4, 0.8 s
    assert chat(served.port).status == 200


def test_a_certificate_of_an_unknown_authority_is_refused(gateway, secure, authority):
    served = gateway_for(gateway, secure, authority, ca=False)
    got = chat(served.port)
    assert (got.status, got.error["code"]) == (502, "all_targets_failed")
    assert "tls" in got.error["message"] and "authority" in got.error["message"] and "ca_file" in got.error["message"]
    assert secure.requests == []


def test_a_certificate_for_another_name_is_refused(gateway, tmp_path):
    other = make_authority(tmp_path / "other", ["example.org"])
    with FakeUpstream(tls=other.server_context()) as upstream:
        served = gateway_for(gateway, upstream, other)
        got = chat(served.port)
        assert got.status == 502 and "tls" in got.error["message"] and "another host" in got.error["message"]
        assert upstream.requests == []


def test_a_certificate_that_has_expired_is_named(gateway, tmp_path):
    old = make_authority(tmp_path / "old", ["localhost"], expired=True)
    with FakeUpstream(tls=old.server_context()) as upstream:
        got = chat(gateway_for(gateway, upstream, old).port)
        assert got.status == 502 and "expired" in got.error["message"] and upstream.requests == []


def test_a_server_that_speaks_no_tls_is_named(gateway, authority):
    class Plain(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        served = gateway(config_text([openai_backend("a", f"https://127.0.0.1:{server.server_address[1]}/v1")], defaults=timeouts(2, 2)))
        got = chat(served.port)
        server.shutdown()
    assert got.status == 502 and "does not speak TLS" in got.error["message"]


def test_a_new_connection_goes_on_with_the_session_of_an_earlier_one(gateway, secure, authority):
    served = gateway(config_text([openai_backend("a", f"https://localhost:{secure.port}/v1", ca_file=str(authority.ca_file))],
                                 server={"threads": 1}))
    eventually("one is opened ahead", lambda: len(secure.connections) == 1, 3)
    secure.script(answer() + [Close()])
    for _ in range(4):
        assert chat(served.port).status == 200
    assert [connection.session_reused for connection in secure.connections][:4] == [False, True, True, True]


def test_plain_http_behind_https_fails_over(gateway, upstream, second_upstream, authority):
    served = gateway(config_text([openai_backend("a", f"https://localhost:{upstream.port}/v1", ca_file=str(authority.ca_file)),
                                  openai_backend("b", second_upstream.port)], defaults=timeouts(2, 2)))
    got = chat(served.port)
    assert (got.status, got.header("x-spillway-backend"), got.attempts) == (200, "b", 2)


def test_a_large_stream_over_tls_is_whole(gateway, secure, authority):
    from replies import events, stream

    words = ["x" * 1000 + " "] * 2000
    secure.script(stream(events(words)))
    served = gateway_for(gateway, secure, authority)
    assert stream_chat(served.port, timeout=20).text == "".join(words)


def many(count: int, secure, authority, **more) -> str:
    return config_text([openai_backend(f"b{number}", f"https://localhost:{secure.port}/v1", ca_file=str(authority.ca_file), **more) for number in range(count)],
                       [{"model": "*", "targets": [{"backend": "b0"}]}], server={"threads": 2}, defaults=timeouts(4, 4))


@pytest.mark.timeout(60)
def test_200_backends_cost_little_memory_and_no_waiting(gateway, secure, authority):
    began = time.monotonic()
    served = gateway(many(200, secure, authority))
    assert chat(served.port).status == 200
    took = time.monotonic() - began
    memory = resident_bytes(served.pid)
    # Requests meanwhile, while reloads put all Backends anew.
    slowest = 0.0
    for round in range(3):
        before = served.stderr.count("took up the changed config")
        served.config_file.write_text(many(200, secure, authority, headers={"x-round": str(round)}))
        served.signal(signal.SIGHUP)
        end = time.monotonic() + slow(10)
        while served.stderr.count("took up the changed config") == before:
            at = time.monotonic()
            assert chat(served.port).status == 200
            slowest = max(slowest, time.monotonic() - at)
            assert time.monotonic() < end
    print(f"ready after {took:.2f} s, {memory >> 20} MiB, slowest {slowest * 1e3:.0f} ms")
    assert took < slow(1.5), took
    assert slowest < slow(0.15), slowest
    if SLOW == 1:
        assert memory < 40 << 20, memory >> 20
        assert resident_bytes(served.pid) < 60 << 20
