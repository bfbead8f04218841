"""The HTTP/1.1 server side: connections, limits and times as the standard and the configuration say."""

from __future__ import annotations

import time

import pytest

from clock import duration, eventually, slow
from gateway import config_text, openai_backend
from http_client import CHAT, Connection, call, chat, chat_body, encode, get, open_stream
from replies import Hold, Reply, answer, begun, chunk, delta, events, sse, Send, LAST_CHUNK

BODY = encode(chat_body())


def test_one_connection_serves_many_requests(served, upstream):
    with Connection(served.port) as connection:
        for count in range(20):
            connection.request("POST", CHAT, BODY)
            assert connection.read_answer().text == "Hello there"
            connection.request("GET", "/healthz")
            assert connection.read_answer().status == 200
    assert len(upstream.requests) == 20


def test_a_connection_lives_on_after_a_stream_and_after_an_error(served):
    with Connection(served.port) as connection:
        assert open_stream(connection).rest().done == 1
        connection.request("POST", CHAT, b'{"no":"model"}')
        assert connection.read_answer().status == 400
        connection.request("GET", "/nowhere")
        assert connection.read_answer().status == 404
        connection.request("POST", CHAT, BODY)
        assert connection.read_answer().status == 200


def test_pipelined_requests_are_answered_in_order(served, upstream):
    upstream.script(lambda request: Reply((Hold(),)) + answer(request.json["user"]) if request.json["user"] == "0"
                    else answer(request.json["user"]))
    with Connection(served.port) as connection:
        for number in range(5):
            connection.request("POST", CHAT, encode(chat_body(user=str(number))))
        connection.request("GET", "/healthz")
        upstream.wait_for_requests()
        upstream.release()
        assert [connection.read_answer().text for _ in range(5)] == list("01234")
        assert connection.read_answer().status == 200


def test_connection_close_is_kept_to(served):
    with Connection(served.port) as connection:
        connection.request("POST", CHAT, BODY, {"Connection": "close"})
        got = connection.read_answer()
        assert got.status == 200 and got.header("connection").lower() == "close"
        assert connection.read_to_end() == b""


def test_expect_100_continue_is_answered_before_the_body(served):
    with Connection(served.port) as connection:
        connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(BODY))
        assert connection.read_head().status == 100
        connection.send(BODY)
        assert connection.read_answer().status == 200


def test_expect_of_anything_else_is_417(served):
    assert call(served.port, "POST", CHAT, BODY, {"Expect": "the-unexpected"}).status == 417


def test_expect_100_continue_for_a_body_too_large_is_413_at_once(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_body": "64KiB"}))
    with Connection(served.port) as connection:
        connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 65537\r\n\r\n")
        assert connection.read_answer().status == 413


@pytest.mark.parametrize("target", ["/healthz", "/readyz", "/v1/models"])
def test_head_is_get_without_the_body(served, target):
    with Connection(served.port) as connection:
        connection.request("HEAD", target)
        head = connection.read_answer("HEAD")
        connection.request("GET", target)
        full = connection.read_answer()
    assert head.status == full.status == 200 and head.body == b""
    assert head.header("content-length") == str(len(full.body))
    assert head.header("content-type") == full.header("content-type")


def test_http_1_0_gets_an_answer_and_a_close(served):
    for request in (b"GET /healthz HTTP/1.0\r\n\r\n",
                    b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY):
        with Connection(served.port) as connection:
            connection.send(request)
            assert connection.read_answer().status == 200
            assert connection.read_to_end() == b""


def test_http_1_0_gets_a_stream_without_chunks(served):
    body = encode(chat_body(stream=True))
    with Connection(served.port) as connection:
        connection.send(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        got = connection.read_answer()
    assert got.header("transfer-encoding") is None and got.body.endswith(b"data: [DONE]\n\n") and b"Hello" in got.body


def test_a_body_told_too_large_is_413_before_it_is_sent(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_body": "64KiB"}))
    with Connection(served.port) as connection:
        connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n")
        got = connection.read_answer()
    assert (got.status, got.error["code"]) == (413, "body_too_large") and "64" in got.error["message"]
    assert upstream.requests == []


def test_a_chunked_body_too_large_is_413_as_soon_as_it_is(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_body": "64KiB"}))
    with Connection(served.port) as connection:
        connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(chunk(b" " * 65_530) + b"8\r\n" + b" " * 8)
        got = connection.read_answer()
    assert (got.status, got.error["code"]) == (413, "body_too_large")
    assert upstream.requests == []


def test_a_body_of_exactly_the_limit_is_taken(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_body": "64KiB"}))
    assert chat(served.port, BODY + b" " * (65_536 - len(BODY))).status == 200
    assert chat(served.port, BODY + b" " * (65_537 - len(BODY))).status == 413


def test_a_head_within_the_limit_is_taken_and_one_beyond_is_431(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_header": "8KiB"}))
    assert chat(served.port, headers={"X-Pad": "a" * 7_000}).status == 200
    got = chat(served.port, headers={"X-Pad": "a" * 9_000})
    assert got.status == 431 and got.error["message"]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("sent", [b"GET /hea", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A:"], ids=["line", "header"])
def test_a_head_that_does_not_end_in_time_is_408(gateway, upstream, sent):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"header_timeout": duration(0.4)}))
    start = time.monotonic()
    with Connection(served.port) as connection:
        connection.send(sent)
        got = connection.read_answer()
        assert got.status == 408 and got.error["message"]
        assert connection.read_to_end() == b""
    assert slow(0.35) < time.monotonic() - start < slow(2)


def test_a_head_that_trickles_in_does_not_hold_the_timeout_off(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"header_timeout": duration(0.5)}))
    start = time.monotonic()
    with Connection(served.port, timeout=0.05) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        while time.monotonic() - start < slow(3):
            try:
                connection.send(b"X-A: 1\r\n")
                if not connection.fill():
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert connection.buffer.startswith(b"HTTP/1.1 408 ") or connection.ended
    assert time.monotonic() - start < slow(2)


def test_a_body_that_does_not_end_in_time_is_408(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"body_timeout": duration(0.4)}))
    with Connection(served.port) as connection:
        connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + BODY)
        got = connection.read_answer()
        assert got.status == 408 and got.error["message"]
        assert connection.read_to_end() == b""
    assert upstream.requests == []


def test_a_connection_that_says_nothing_is_closed(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)],
                                 limits={"header_timeout": duration(0.4), "keep_alive_timeout": duration(0.4)}))
    with Connection(served.port) as silent, Connection(served.port) as idle:
        idle.request("GET", "/healthz")
        assert idle.read_answer().status == 200
        silent.read_to_end()
        assert idle.read_to_end() == b""


def test_connections_beyond_the_limit_are_refused_and_room_is_made_again(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_connections": 8}, server={"threads": 1}))

    def is_served(connection: Connection) -> bool:
        try:
            connection.request("GET", "/healthz")
            return connection.read_answer().status == 200
        except ConnectionError:
            return False

    held = [Connection(served.port) for _ in range(8)]
    assert all(is_served(connection) for connection in held)
    with Connection(served.port) as one_more:
        assert not is_served(one_more)
    held.pop().close()

    def there_is_room() -> bool:
        with Connection(served.port) as connection:
            return is_served(connection)

    eventually("a new connection is served", there_is_room)
    for connection in held:
        assert is_served(connection), "those who were there are not touched"
        connection.close()


def test_the_first_token_is_not_delayed_by_nagle(served, upstream):
    """Nagle's algorithm against a delayed acknowledgement costs 40 ms for each small write."""
    body = encode(chat_body(stream=True))
    best = []
    for _ in range(5):
        upstream.script(begun(events([], finish=None, done=False))
                        + [Send(chunk(sse(delta({"content": "a"})))), Send(chunk(sse(delta({"content": "b"})))),
                           Send(chunk(sse(delta({}, "stop")))), Send(chunk(sse("[DONE]"))), Send(LAST_CHUNK)])
        with Connection(served.port) as connection:
            start = time.monotonic()
            connection.request("POST", CHAT, body)
            while b"[DONE]" not in connection.buffer:
                assert connection.fill()
            best.append(time.monotonic() - start)
    assert sorted(best)[2] < slow(0.03), f"seconds for five short streams: {best}"
