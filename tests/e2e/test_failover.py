"""Whatever the first Target does before its first token, the client sees only the second one's answer."""

from __future__ import annotations

import gzip
import json
import socketserver
import threading
import time

import pytest

from clock import eventually, slow
from fake_upstream import FakeUpstream
from gateway import config_text, duration, openai_backend, timeouts
from http_client import Connection, chat, chat_body, open_stream, stream_chat
from replies import (LAST_CHUNK, SSE_HEADERS, Close, Pause, Repeat, Reply, Reset, Send, Silence, answer, begun, chunk,
                     completion, delta, error, error_body, events, head, sse, stream, usage_event, whole)

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded]
KEEP_ALIVE = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
HTML = "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"


def statuses() -> dict[str, Reply]:
    codes = (500, 502, 503, 504, 520, 529, 429, 401, 402, 403, 404, 408)
    faults = {str(code): error(code) for code in codes}
    for code in (301, 302, 307, 308):
        faults[str(code)] = whole(code, "", [("Location", "http://127.0.0.1:9/v1/chat/completions")])
    faults["304"] = Reply((Send(head(304)),))
    faults["503 without a body"] = whole(503, "")
    faults["503 that is HTML"] = whole(503, HTML, content_type="text/html")
    return faults


# Both for streams and for whole answers.
FAULTS = statuses() | {
    "reset": Reply((Reset(),)),
    "closed without a word": Reply((Close(),)),
    "accepted, then silent": Reply((Silence(),)),
    "half a head, then silent": Reply((Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Silence())),
    "headers, then silent": Reply((Send(head(200, KEEP_ALIVE)), Silence())),
    "headers, then reset": Reply((Send(head(200, KEEP_ALIVE)), Pause(0.05), Reset())),
    "headers, then closed": Reply((Send(head(200, KEEP_ALIVE)), Close())),
    "not HTTP": Reply((Send(b"SSH-2.0-OpenSSH_9.2\r\n"), Close())),
    "HTML with 200": whole(200, HTML, content_type="text/html"),
    "an error object with 200": whole(200, error_body("busy")),
    "an empty body with 200": whole(200, ""),
    "text with 200": whole(200, "upstream connect error", content_type="text/plain"),
    "both lengths": Reply((Send(head(200, [("Content-Length", "5"), ("Transfer-Encoding", "chunked")]) + b"0\r\n\r\n"), Close())),
    "gzip that is none": whole(200, "not gzip at all", [("Content-Encoding", "gzip")]),
    "an unknown encoding": whole(200, "????", [("Content-Encoding", "x-rot13")]),
}

EMPTY = completion("", usage={"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3})

# Whole answers only.
WHOLE_FAULTS = {
    "an empty answer": whole(200, EMPTY),
    "no choices": whole(200, {**EMPTY, "choices": []}),
    "blank lines, then silent": Reply((Send(head(200, KEEP_ALIVE)), Repeat(chunk(b"\n"), 0.02))),
    "cut in the middle of the body": Reply((Send(head(200, [("Content-Length", "500")]) + b'{"id":"x","choices":[{'), Close())),
    "half the body, then silent": Reply((Send(head(200, [("Content-Length", "500")]) + b'{"id":"x",'), Silence())),
    "JSON that is cut short": whole(200, b'{"id":"x","choices":[{"message":{"content":"hal'),
}

# Streams only.
STREAM_FAULTS = {
    "keep-alive comments only": Reply((Send(head(200, KEEP_ALIVE)), Repeat(chunk(b": keep-alive\n\n"), 0.02))),
    "role only, then silent": begun(events([], finish=None, done=False)) + [Silence()],
    "role only, then comments": begun(events([], finish=None, done=False)) + [Repeat(chunk(b": ping\n\n"), 0.02)],
    "role only, then reset": begun(events([], finish=None, done=False)) + [Pause(0.05), Reset()],
    "an empty delta over and over": begun([]) + [Repeat(chunk(sse(delta({"content": ""}))), 0.02)],
    "an error object first": begun([sse(error_body("overloaded", code="overloaded"))]) + [Send(LAST_CHUNK)],
    "event: error first": begun([b"event: error\n" + sse({"type": "error", "error": {"type": "overloaded_error"}})]) + [Silence()],
    "an empty stream": begun([]) + [Send(LAST_CHUNK)],
    "only DONE": stream([sse("[DONE]")]),
    "an empty answer": stream(events([])),
    "role, then the end": stream(events([], finish=None, done=False)),
    "an empty answer with usage": stream([*events([], done=False), sse(usage_event(completion_tokens=0)), sse("[DONE]")]),
    "not JSON": begun([b"data: <html>\n\n"]) + [Silence()],
    "a chunk size that is none": Reply((Send(head(200, KEEP_ALIVE) + b"zz\r\n\r\n"), Silence())),
}


@pytest.fixture(scope="module")
def pair(module_gateway):
    """A gateway with "a", which fails, before "b", which answers; and their upstreams."""
    with FakeUpstream() as failing, FakeUpstream() as good:
        yield failing, good, lambda: module_gateway(config_text(
            [openai_backend("a", failing.port), openai_backend("b", good.port)], defaults=timeouts(0.4, 0.4)))


@pytest.fixture
def failing_pair(pair):
    """As `pair`, with a fresh gateway: no health is carried over from an earlier fault."""
    failing, good, start = pair
    failing.requests.clear(), good.requests.clear()
    gateway = start()
    yield failing, good, gateway
    gateway.stop()


def check_whole(fault: Reply, failing, good, gateway) -> None:
    failing.script(fault)
    got = chat(gateway.port)
    assert (got.status, got.text, got.header("x-spillway-backend")) == (200, "Hello there", "b")
    assert got.attempts == 2 and len(failing.requests) == 1
    assert good.requests[0].json["model"] == "m-b"
    eventually("the failed upstream's connection is not left waiting",
               lambda: failing.requests[0].answered or failing.requests[0].left_at)


def check_stream(fault: Reply, failing, good, gateway) -> None:
    failing.script(fault)
    got = stream_chat(gateway.port)
    assert (got.text, got.roles, got.finish_reasons, got.done) == ("Hello there", ["assistant"], ["stop"], 1)
    assert got.errors == [] and got.torn is None
    assert (got.answer.header("x-spillway-backend"), got.answer.attempts) == ("b", 2)
    assert len(failing.requests) == 1 and good.requests[0].json["model"] == "m-b"
    eventually("the failed upstream's connection is not left waiting",
               lambda: failing.requests[0].answered or failing.requests[0].left_at)


@pytest.mark.parametrize("fault", (FAULTS | WHOLE_FAULTS).values(), ids=(FAULTS | WHOLE_FAULTS).keys())
def test_a_whole_answer_comes_from_the_next_target(failing_pair, fault):
    check_whole(fault, *failing_pair)


@pytest.mark.parametrize("fault", (FAULTS | STREAM_FAULTS).values(), ids=(FAULTS | STREAM_FAULTS).keys())
def test_a_stream_comes_from_the_next_target(failing_pair, fault):
    check_stream(fault, *failing_pair)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_refused_connection_goes_to_the_next_target(gateway, upstream, refusing_port, streamed):
    served = gateway(config_text([openai_backend("a", refusing_port), openai_backend("b", upstream.port)]))
    got = stream_chat(served.port).answer if streamed else chat(served.port)
    assert (got.status, got.header("x-spillway-backend"), got.attempts) == (200, "b", 2)


@pytest.mark.parametrize("status,attempts", [(429, 2), (503, 2), (413, 1)])
def test_a_refusal_while_the_body_is_still_sent_is_heard_at_once(gateway, upstream, status, attempts):
    body = json.dumps({"error": {"message": "early"}}).encode()

    class Refuses(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            self.request.sendall(head(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]) + body)
            held.wait()  # and reads no more

    held = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        served = gateway(config_text([openai_backend("a", server.server_address[1]), openai_backend("b", upstream.port)],
                                     defaults=timeouts(6)))
        start = time.monotonic()
        got = chat(served.port, chat_body("x" * (20 << 20)), timeout=20)
        held.set()
        server.shutdown()
    assert (got.status, got.attempts) == ((200, 2) if attempts == 2 else (413, 1))
    assert time.monotonic() - start < slow(3)


def test_a_name_that_does_not_resolve_goes_to_the_next_target(gateway, upstream):
    served = gateway(config_text([openai_backend("a", "http://no-such-host.invalid/v1"), openai_backend("b", upstream.port)]))
    assert chat(served.port).header("x-spillway-backend") == "b"


def test_a_backend_that_sends_gzip_unasked_is_left(failing_pair):
    failing, _, gateway = failing_pair
    packed = gzip.compress(json.dumps(completion("unpacked")).encode())
    failing.script(whole(200, packed, [("Content-Encoding", "gzip")]))
    got = chat(gateway.port)
    assert got.header("content-encoding") is None
    assert (got.text, got.header("x-spillway-backend")) == ("Hello there", "b")


def test_a_slow_first_token_within_the_timeout_is_waited_for(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 defaults={"first_token_timeout": duration(3)}))
    comments = [step for _ in range(10) for step in (Send(chunk(b": keep-alive\n\n")), Pause(0.05))]
    upstream.script(begun([]) + comments + [Send(b"".join(map(chunk, events(["late"]))) + LAST_CHUNK)])
    got = stream_chat(served.port)
    assert (got.text, got.answer.header("x-spillway-backend"), got.answer.attempts) == ("late", "a", 1)


def test_reasoning_and_tool_calls_count_as_first_token(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 defaults={"first_token_timeout": duration(0.5), "idle_timeout": duration(4)}))
    for first in ({"reasoning_content": "hm"}, {"reasoning": "hm"},
                  {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}):
        upstream.script(begun([sse(delta({"role": "assistant"})), sse(delta(first))])
                        + [Pause(slow(0.8)), Send(b"".join(map(chunk, events(["then"], role=False))) + LAST_CHUNK)])
        got = stream_chat(served.port)
        assert (got.text, got.answer.header("x-spillway-backend")) == ("then", "a"), first


CLIENT_FAULTS = [(400, b'{"error": {"message":"bad  temperature" ,"type":"invalid_request_error","param":"t","code":null}}\n'),
                 (413, b'{"error":{"message":"too large"}}'), (422, b'[{"loc":["body"],"msg":"field required"}]'),
                 (400, b'{"error":{"message":"blocked","code":"content_filter"}}'), (400, b" [] \n"), (422, b'"text"')]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status,body", CLIENT_FAULTS, ids=[f"{status}-{at}" for at, (status, _) in enumerate(CLIENT_FAULTS)])
def test_the_clients_own_fault_passes_through_byte_for_byte(failing_pair, status, body, streamed):
    failing, good, gateway = failing_pair
    failing.script(whole(status, body, content_type="application/problem+json"))
    got = chat(gateway.port, chat_body(stream=streamed))
    assert (got.status, got.body, got.header("content-type")) == (status, body, "application/problem+json")
    assert (got.header("x-spillway-backend"), got.attempts) == ("a", 1)
    assert good.requests == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_when_all_fail_each_attempt_is_listed(gateway, upstream, second_upstream, refusing_port, streamed):
    backends = [openai_backend("cloudy", upstream.port), openai_backend("rainy", second_upstream.port),
                openai_backend("gone", refusing_port)]
    served = gateway(config_text(backends, defaults=timeouts(0.3)))
    upstream.script(error(503, "the upstream's own words"))
    second_upstream.script(Reply((Silence(),)))
    got = chat(served.port, chat_body(stream=streamed))
    assert (got.status, got.error["code"]) == (502, "all_targets_failed")
    message = got.error["message"]
    assert message.index("cloudy") < message.index("rainy") < message.index("gone")
    assert "overload 503 (the upstream's own words)" in message and "connect" in message
    assert got.attempts == 3 and got.header("x-request-id")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_when_all_say_429_the_client_gets_429(failing_pair, streamed):
    failing, good, gateway = failing_pair
    failing.script(error(429, headers=[("Retry-After", "7")]))
    good.script(error(429, headers=[("Retry-After", "3")]))
    got = chat(gateway.port, chat_body(stream=streamed))
    good.script(answer())
    assert (got.status, got.error["code"], got.header("retry-after")) == (429, "all_targets_failed", "3")
    assert "429" in got.error["message"] and got.attempts == 2


def test_one_429_among_other_failures_is_502(failing_pair):
    failing, good, gateway = failing_pair
    failing.script(error(429))
    good.script(error(503))
    assert chat(gateway.port).status == 502
    good.script(answer())


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_the_clients_deadline_ends_the_exchange(gateway, upstream, streamed):
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    upstream.script(Reply((Silence(),)))
    start = time.monotonic()
    got = chat(served.port, chat_body(stream=streamed), {"x-spillway-deadline-ms": "300"})
    assert (got.status, got.error["code"]) == (504, "deadline_exceeded")
    assert 0.28 < time.monotonic() - start < slow(1)
    eventually("the upstream is left", lambda: upstream.requests[0].left_at)


def test_the_deadline_holds_over_all_attempts(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 defaults={"first_token_timeout": duration(0.4), "deadline": duration(0.6)}))
    for fake in (upstream, second_upstream):
        fake.script(Reply((Silence(),)))
    start = time.monotonic()
    got = chat(served.port)
    assert (got.status, got.error["code"]) == (504, "deadline_exceeded")
    assert time.monotonic() - start < slow(0.6) + slow(0.5)


def test_a_deadline_after_the_first_token_is_told_in_band(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], defaults=timeouts(5, 5)))
    upstream.script(begun(events(["a"], finish=None, done=False)) + [Repeat(chunk(sse(delta({"content": "b"}))), 0.01)])
    with Connection(served.port) as connection:
        milliseconds = str(int(slow(0.5) * 1000))
        got = open_stream(connection, None, [("x-spillway-deadline-ms", milliseconds)]).rest()
    assert got.text.startswith("ab") and got.done == 0
    assert [found["code"] for found in got.errors] == ["deadline_exceeded"]


@pytest.mark.parametrize("value", ["-5", "soon", "1e3"])
def test_a_deadline_that_is_no_number_of_milliseconds_is_a_400(served, upstream, value):
    got = chat(served.port, headers={"x-spillway-deadline-ms": value})
    assert (got.status, got.error["code"]) == (400, "invalid_request")
    assert "x-spillway-deadline-ms" in got.error["message"] and upstream.requests == []


def test_a_kept_alive_connection_that_the_upstream_closed_meanwhile_is_no_failure(served, upstream):
    upstream.script(answer("one") + [Close()], answer("two"))
    assert chat(served.port).text == "one"
    eventually("the upstream closed", lambda: upstream.connections[0].left_at or upstream.connections[0].transport.is_closing())
    got = chat(served.port)
    assert (got.text, got.attempts) == ("two", 1)


# --- the same Target once more ---------------------------------------------------------------------------------

def retrying(gateway, upstream, second_upstream, **route):
    targets = [{"backend": "a", "model": "m-a"}, {"backend": "b", "model": "m-b"}]
    return gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                               [{"model": "*", "targets": targets, **route}], defaults=timeouts(2, 2)))


@pytest.mark.parametrize("failure", [error(503), error(500), error(529), whole(200, completion("", usage=None)), Reply((Close(),))],
                         ids=["503", "500", "529", "empty", "cut"])
def test_passing_trouble_is_asked_once_more_before_the_next(gateway, upstream, second_upstream, failure):
    served = retrying(gateway, upstream, second_upstream)
    upstream.script(failure, answer("again"))
    got = chat(served.port, chat_body(max_tokens=5))
    assert got.status == 200 and got.json["choices"][0]["message"]["content"] == "again"
    assert got.header("x-spillway-backend") == "a" and got.attempts == 2 and second_upstream.requests == []


@pytest.mark.parametrize("failure", [error(429), error(401), error(404)], ids=["429", "401", "404"])
def test_what_does_not_pass_is_the_next_ones_turn(gateway, upstream, second_upstream, failure):
    served = retrying(gateway, upstream, second_upstream, retries=3)
    upstream.script(failure)
    got = chat(served.port, chat_body(max_tokens=5))
    assert got.header("x-spillway-backend") == "b" and got.attempts == 2 and len(upstream.requests) == 1


def test_retries_stay_within_the_backends_budget(gateway, upstream, second_upstream):
    targets = [{"backend": "a", "model": "m-a"}, {"backend": "b", "model": "m-b"}]
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 [{"model": "*", "targets": targets, "retries": 1}], breaker={"on": False}))
    upstream.script(error(503))
    for _ in range(40):
        assert chat(served.port, chat_body(max_tokens=5)).status == 200
    assert 40 + 10 <= len(upstream.requests) <= 40 + 10 + 8      # ten at the beginning, and a fifth of the first tries


def test_a_short_retry_after_is_waited_for_where_the_route_says_so(gateway, upstream, second_upstream):
    served = retrying(gateway, upstream, second_upstream, retries=0, retry_after_wait="2s")
    upstream.script(error(429, headers=[("retry-after-ms", "150")]), answer("again"))
    start = time.monotonic()
    got = chat(served.port, chat_body(max_tokens=5))
    assert got.header("x-spillway-backend") == "a" and got.attempts == 2 and time.monotonic() - start >= 0.15


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_holds_for_all_requests_to_that_backend(gateway, upstream, second_upstream, status):
    served = retrying(gateway, upstream, second_upstream, retries=0)
    upstream.script(error(status, headers=[("Retry-After", "60")]))
    for _ in range(8):                                           # on several connections, and so on both threads
        assert chat(served.port, chat_body(max_tokens=5)).header("x-spillway-backend") == "b"
    assert len(upstream.requests) == 1
    # Nobody else answers: it is asked all the same.
    second_upstream.script(error(500))
    upstream.script(answer("back"))
    assert chat(served.port, chat_body(max_tokens=5)).header("x-spillway-backend") == "a"


def test_a_rate_limit_that_is_used_up_holds_before_the_provider_says_429(gateway, upstream, second_upstream):
    served = retrying(gateway, upstream, second_upstream, retries=0)
    upstream.script(answer(headers=[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1m30s")]))
    backends = [chat(served.port, chat_body(max_tokens=5)).header("x-spillway-backend") for _ in range(6)]
    assert backends == ["a", "b", "b", "b", "b", "b"]


def test_a_client_that_leaves_during_a_pause_ends_it(gateway, upstream, second_upstream):
    served = retrying(gateway, upstream, second_upstream, retry_after_wait="30s")
    upstream.script(error(429, headers=[("Retry-After", "20")]))
    with Connection(served.port) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(chat_body()).encode())
        eventually("it was asked", lambda: upstream.requests)
    line = served.access_log_lines(1)[0]
    assert '"client_gone"' in line and second_upstream.requests == []
