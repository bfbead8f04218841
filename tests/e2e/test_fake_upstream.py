"""The fake upstream does what its scripts say, seen over plain sockets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clock import eventually
from fake_upstream import FakeUpstream
from http_client import Connection, Malformed, chat, chat_body, get, open_stream, stream_chat
from replies import (Close, Hold, Pause, Repeat, Reply, Reset, Send, Silence, answer, begun, cut_at, dribble, error,
                     events, frame_chunked, head, sse, delta, stream)
from tls_files import make_authority, client_context


@pytest.fixture
def fake():
    with FakeUpstream() as upstream:
        yield upstream


def test_takes_replies_in_order_and_repeats_the_last(fake):
    fake.script(error(503), answer("first"), answer("last"))
    assert [chat(fake.port).status for _ in range(1)] == [503]
    assert [chat(fake.port).text for _ in range(3)] == ["first", "last", "last"]


def test_records_requests_with_raw_bytes_header_order_and_body(fake):
    body = b'{ "model" : "x",  "messages":[] }'
    chat(fake.port, body, {"X-One": "1", "a-Two": "2"})
    request = fake.requests[0]
    assert request.body == body and request.raw.endswith(b"\r\n\r\n" + body)
    assert request.headers[-3:-1] == [("X-One", "1"), ("a-Two", "2")]


def test_reads_chunked_requests(fake):
    with Connection(fake.port) as connection:
        connection.send(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n5\r\n\": 1}\r\n0\r\n\r\n")
        connection.read_answer()
    assert fake.requests[0].json == {"a": 1}


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_streams_in_every_framing(fake, framing):
    fake.script(stream(events(["Hi ", "you"], usage=True), framing=framing))
    got = stream_chat(fake.port)
    assert (got.text, got.roles, got.finish_reasons, got.done, len(got.usages)) == ("Hi you", ["assistant"], ["stop"], 1, 1)


def test_splits_bytes_anywhere(fake):
    payload = sse(delta({"content": "早上好"}))
    whole = b"".join(frame_chunked([payload]))
    fake.script(dribble(whole), Reply(tuple(Send(piece) for piece in cut_at(whole, [3, 40, 200]))))
    assert [stream_chat(fake.port).text for _ in range(2)] == ["早上好", "早上好"]


def test_answers_in_kind_without_a_script(fake):
    assert chat(fake.port).text == "Hello there"
    assert stream_chat(fake.port, chat_body(stream=True, stream_options={"include_usage": True})).usages
    assert get(fake.port, "/v1/models").json["data"][0]["id"] == "fake-model"
    assert len(fake.requests) == 2 and len(fake.gets) == 1


def test_resets_and_clean_ends_are_told_apart(fake):
    fake.script(begun(events(["a"], finish=None, done=False)) + [Pause(0.05), Reset()],
                begun(events(["a"], finish=None, done=False)) + [Close()])
    for _ in range(2):
        got = stream_chat(fake.port)
        assert got.text == "a" and got.torn


def test_silence_lasts_until_the_client_leaves_and_that_is_noticed(fake):
    fake.script(Reply((Silence(),)))
    with Connection(fake.port) as connection:
        connection.request("POST", "/v1/chat/completions", b"{}")
        request = fake.wait_for_requests()[0]
        assert request.left_at is None
    eventually("leaving is noticed", lambda: request.left_at)
    assert not request.answered


def test_repeats_for_ever_and_stops_when_the_client_leaves(fake):
    fake.script(Reply((Send(head(200, [("Content-Type", "text/event-stream")])), Repeat(b": keep-alive\n\n", 0.01))))
    with Connection(fake.port) as connection:
        connection.request("POST", "/x", b"{}")
        connection.read_until(b": keep-alive\n\n: keep-alive\n\n")
    eventually("leaving is noticed", lambda: fake.requests[0].left_at)


def test_holds_until_released(fake):
    fake.script(begun(events(["a"], finish=None, done=False)) + [Hold(), Send(b"0\r\n\r\n")])
    with Connection(fake.port) as connection:
        reader = open_stream(connection)
        reader.next(), reader.next()
        fake.release()
        assert reader.rest().torn is None


def test_stops_sending_when_the_client_does_not_read(fake):
    fake.script(Reply((Send(head(200, [])), Repeat(b"x" * 65536, times=400), Close())))
    with Connection(fake.port, receive_buffer=65536) as connection:
        connection.request("POST", "/x", b"{}")
        request = fake.wait_for_requests()[0]
        eventually("some bytes went out", lambda: request.bytes_sent > 0)
        eventually("sending stops", lambda: not fake.requests[0].connection.writable.is_set())
        assert request.bytes_sent < 20_000_000
        assert len(connection.read_to_end()) > 26_000_000


def test_serves_tls_and_records_the_server_name(tmp_path):
    authority = make_authority(tmp_path, ["localhost"])
    with FakeUpstream(tls=authority.server_context()) as fake:
        with Connection(fake.port) as connection:
            connection.socket = client_context(authority.ca_file).wrap_socket(connection.socket, server_hostname="localhost")
            connection.request("POST", "/v1/chat/completions", b'{"messages":[]}')
            assert connection.read_answer().text == "Hello there"
        assert fake.requests[0].sni == "localhost"


def test_runs_by_itself_from_a_script_file(tmp_path):
    script = tmp_path / "replies.json"
    script.write_text(json.dumps([{"status": 503, "body": "busy", "headers": {"Retry-After": "1"}},
                                  {"stream": ["a", "b"], "pace": 0.001}, {"answer": "hi"},
                                  {"steps": [{"send": "HTTP/1.1 200 OK\r\n\r\n"}, {"pause": 0.01}, {"close": True}]}]))
    command = [sys.executable, str(Path(__file__).with_name("fake_upstream.py")), "--script", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        assert chat(port).header("retry-after") == "1"
        assert stream_chat(port).text == "ab"
        assert chat(port).text == "hi"
        assert chat(port).body == b""
        process.terminate()


def test_the_client_refuses_what_is_not_http(fake):
    fake.script(Reply((Send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), Close())))
    with pytest.raises(Malformed):
        chat(fake.port)
