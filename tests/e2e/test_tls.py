"""Backends over TLS: verified certificates, SNI, kept connections."""

from __future__ import annotations

import pytest

from fake_upstream import FakeUpstream
from gateway import config_text, openai_backend, timeouts
from http_client import chat, stream_chat
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
    for _ in range(10):
        assert chat(served.port).status == 200
    assert len(secure.connections) == 1


def test_a_certificate_of_an_unknown_authority_is_refused(gateway, secure, authority):
    served = gateway_for(gateway, secure, authority, ca=False)
    got = chat(served.port)
    assert (got.status, got.error["code"]) == (502, "all_targets_failed") and "tls" in got.error["message"]
    assert secure.requests == []


def test_a_certificate_for_another_name_is_refused(gateway, tmp_path):
    other = make_authority(tmp_path / "other", ["example.org"])
    with FakeUpstream(tls=other.server_context()) as upstream:
        served = gateway_for(gateway, upstream, other)
        got = chat(served.port)
        assert got.status == 502 and "tls" in got.error["message"]
        assert upstream.requests == []


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
