"""TLS on `server.listen`: who gets in, how it ends, and a certificate that changes."""

from __future__ import annotations

import json
import shutil
import socket
import ssl

import httpx
import openai
import pytest

from clock import eventually, slow
from gateway import config_text, openai_backend, run
from http_client import chat_body
from replies import Hold, begun, events, stream
from tls_files import client_context, make_authority

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded]

CHAT = "/v1/chat/completions"


@pytest.fixture
def served(gateway, upstream, authority):
    tls = {"cert": str(authority.certificate), "key": str(authority.key)}
    return gateway(config_text([openai_backend("a", upstream.port)], server={"listen": "127.0.0.1:0", "tls": tls}), wait=False)


def connect(served, authority, **changes) -> ssl.SSLSocket:
    context = client_context(authority.ca_file)
    if "alpn" in changes:
        context.set_alpn_protocols(changes["alpn"])
    for name in ("minimum_version", "maximum_version"):
        if name in changes:
            setattr(context, name, changes[name])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", served.port), slow(5)), server_hostname="localhost")


def ask(connection, body: dict, version: str = "1.1") -> bytes:
    """The whole answer, to the close_notify behind it: without one reading ends in an error."""
    encoded = json.dumps(body).encode()
    connection.sendall(b"POST %s HTTP/%s\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                       % (CHAT.encode(), version.encode(), len(encoded)) + encoded)
    connection.suppress_ragged_eofs = False
    out = b""
    while piece := connection.recv(65536):
        out += piece
    return out


def test_it_says_https(served):
    served.port
    assert any("listening on https://" in line for line in served.stdout_lines)


def test_an_sdk_asks_and_streams(served, authority, upstream):
    upstream.script(stream(events(["Hello", " there"])))
    client = openai.OpenAI(base_url=f"https://localhost:{served.port}/v1", api_key="sk-any", max_retries=0,
                           http_client=httpx.Client(verify=client_context(authority.ca_file), trust_env=False))
    for _ in range(3):  # on one connection
        chunks = client.chat.completions.create(model="test", messages=[{"role": "user", "content": "Hi"}], stream=True)
        assert "".join(part.choices[0].delta.content or "" for part in chunks) == "Hello there"


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
def test_an_answer_ends_with_a_close_notify(served, authority, upstream, version, streamed):
    upstream.script(stream(events(["Hello", " there"])))
    answer = ask(connect(served, authority), chat_body(stream=streamed), version)
    assert b" 200 OK\r\n" in answer and b"Hello" in answer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_get_in(served, authority, version):
    with connect(served, authority, minimum_version=version, maximum_version=version) as connection:
        assert connection.version() == version.name.replace("_", ".")


def test_older_versions_do_not(served, authority):
    context = client_context(authority.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", served.port), slow(5)) as plain:
        context.wrap_socket(plain, server_hostname="localhost")


def test_the_protocol_is_http_1_1(served, authority):
    with connect(served, authority, alpn=["h2", "http/1.1"]) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        connect(served, authority, alpn=["h2"])


def test_plain_http_is_told_so(served):
    with socket.create_connection(("127.0.0.1", served.port), slow(5)) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while piece := plain.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ") and b"https://" in answer


def test_a_client_that_leaves_is_seen(served, authority, upstream):
    upstream.script(begun(events(["Hello"], finish=None, done=False)) + [Hold()])
    connection = connect(served, authority)
    body = json.dumps(chat_body(stream=True)).encode()
    connection.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(body)) + body)
    seen = b""
    while b"Hello" not in seen:
        seen += connection.recv(4096)
    connection.close()
    eventually("the Backend is left", lambda: upstream.requests[-1].left_at is not None, 3)


def test_silence_in_the_handshake_ends_with_header_timeout(gateway, upstream, authority):
    tls = {"cert": str(authority.certificate), "key": str(authority.key)}
    served = gateway(config_text([openai_backend("a", upstream.port)], server={"listen": "127.0.0.1:0", "tls": tls},
                                 limits={"header_timeout": "200ms"}), wait=False)
    with socket.create_connection(("127.0.0.1", served.port), slow(5)) as plain:
        assert plain.recv(1) == b""


def test_a_changed_certificate_is_taken_up_and_a_bad_one_refused(gateway, upstream, tmp_path):
    first, second = (make_authority(tmp_path / name, ["localhost"]) for name in ("first", "second"))
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(first.certificate, cert)
    shutil.copy(first.key, key)
    served = gateway(config_text([openai_backend("a", upstream.port)],
                                 server={"listen": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}}), wait=False)
    connect(served, first).close()
    old = connect(served, first)
    shutil.copy(second.certificate, cert)
    eventually("the half change is refused", lambda: "server.tls" in served.stderr, 8)
    connect(served, first).close()
    shutil.copy(second.key, key)

    def taken_up() -> bool:
        try:
            connect(served, second).close()
            return True
        except ssl.SSLError:
            return False
    eventually("the new certificate is shown", taken_up, 8, every=0.1)
    assert b" 200 OK\r\n" in ask(old, chat_body()), "an open connection goes on"


def test_bad_files_are_told_by_check_and_serve(tmp_path, upstream):
    one, other = (make_authority(tmp_path / name, ["localhost"]) for name in ("one", "other"))
    (tmp_path / "junk.pem").write_text("junk")
    for cert, key, told in ((tmp_path / "none.pem", one.key, "none.pem"), (tmp_path / "junk.pem", one.key, "certificate"),
                            (one.certificate, other.key, "key"), (one.certificate, tmp_path / "junk.pem", "key")):
        file = tmp_path / "spillway.toml"
        file.write_text(config_text([openai_backend("a", upstream.port)],
                                    server={"listen": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}}))
        for command in ("check", "serve"):
            done = run("--config", str(file), "--data", str(tmp_path / "data"), command, home=tmp_path)
            assert done.returncode == 2 and told in done.stderr, (command, cert, key, done.stderr)


def test_a_listener_beyond_loopback_still_wants_keys(tmp_path, upstream, authority):
    file = tmp_path / "spillway.toml"
    tls = {"cert": str(authority.certificate), "key": str(authority.key)}
    file.write_text(config_text([openai_backend("a", upstream.port)], server={"listen": "0.0.0.0:0", "tls": tls}))
    done = run("--config", str(file), "check", home=tmp_path)
    assert done.returncode == 2 and "require_key" in done.stderr
