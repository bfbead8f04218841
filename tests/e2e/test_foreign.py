"""What an upstream says is read once, and alike, whatever becomes of it: passed on, translated to any Dialect, put together."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from gateway import backend_of, config_text, timeouts
from http_client import call
from replies import begun, chunk, delta, error_body, events, sse, stream, usage_event, whole
from replies import Close, Reply, Send
from speakers import CALLS, KINDS, as_stream, event, line, last_line, message_start, message_end, ndjson, parts_of, says, text_block
from strict import PATHS, read_stream, request_of

pytestmark = pytest.mark.sanitized
CLIENTS = list(PATHS)
clients = pytest.mark.parametrize("client", CLIENTS)
kinds = pytest.mark.parametrize("kind", KINDS)
both = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


def text_in(client: str, body: dict) -> str:
    if client == "openai":
        return body["choices"][0]["message"]["content"] or ""
    if client == "anthropic":
        return "".join(block.get("text", "") for block in body["content"])
    if client == "ollama":
        return body["message"]["content"]
    return "".join(part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"])


@pytest.fixture
def asked(gateway, upstream, second_upstream):
    """asked(kind, client, streamed, reply, …) → (text, answer) of one question; there is no other Backend unless `second` says something."""
    started = {}

    def ask(kind: str, client: str, streamed: bool, reply, second=None, limits=None):
        key = (kind, second is not None, str(limits))
        if key not in started:
            backends = [backend_of(kind, "a", upstream.port, aggregate="on")]
            if second is not None:
                backends.append(backend_of(kind, "b", second_upstream.port))
            started[key] = gateway(config_text(backends, defaults=timeouts(4, 2), breaker={"on": False}, **({"limits": limits} if limits else {})))
        upstream.script(reply)
        if second is not None:
            second_upstream.script(second)
        body = request_of(client, stream=streamed)
        answer = call(started[key].port, "POST", PATHS[client], body)
        if answer.status != 200:
            return None, answer
        if streamed:
            read = read_stream(client, answer.body)
            return (read.text if read.error is None else None), answer
        return text_in(client, answer.json), answer
    return ask


def raw_event(kind: str, data: str, name: str | None = None) -> bytes:
    if kind == "ollama":
        return (data + "\n").encode()
    return ((f"event: {name}\n" if name else "") + f"data: {data}\n\n").encode()


def with_text(kind: str, text: str, more: str) -> bytes:
    """An event that says `text` (as it stands in JSON) and has the members `more`."""
    if kind == "openai":
        return raw_event(kind, '{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1,"model":"fake-model","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null%s}]%s}' % (text, more, more))
    if kind == "anthropic":
        return raw_event(kind, '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"%s}%s}' % (text, more, more), "content_block_delta")
    return raw_event(kind, '{"model":"fake-model","created_at":"2026-11-24T10:00:00Z","message":{"role":"assistant","content":"%s"%s},"done":false%s}' % (text, more, more))


def around(kind: str, *inside: bytes) -> Reply:
    """A stream that says "Hell", `inside`, and " world"."""
    parts = parts_of(kind, ["Hell", " world"], with_calls=False)
    at = next(i for i, part in enumerate(parts) if b" world" in part)
    return as_stream(kind, [*parts[:at], *inside, *parts[at:]])


ODD = {"minus infinity": "-Infinity", "NaN": "NaN", "infinity in a list": "[1,{\"b\":Infinity}]", "1e999": "1e999", "minus 1e999": "-1e999",
       "a long number": "1" * 400, "a long fraction": "0." + "1" * 400, "null": "null", "half a pair": '"\\ud83d"', "a zero character": '"\\u0000"'}


@clients
@kinds
@both
def test_numbers_that_are_none_or_too_large_lose_no_text(asked, client, kind, streamed):
    for name, value in ODD.items():
        text, answer = asked(kind, client, streamed, around(kind, with_text(kind, "o", f',"logprob":{value}')))
        # A server that says NaN to its own client is passed on as it is; whoever reads it knows what it is.
        if text is None and streamed and client == kind and b"NaN" in answer.body + b"Infinity" in answer.body:
            continue
        assert text == "Hello world", (name, answer.body)


@clients
@kinds
@both
def test_what_is_nested_without_end_is_garbage_alike(asked, client, kind, streamed):
    deep = with_text(kind, "o", ',"x":' + "[" * 100_000 + "]" * 100_000)
    text, answer = asked(kind, client, streamed, around(kind, deep))
    assert text is None, answer.body[-300:]
    text, answer = asked(kind, client, streamed, around(kind, deep), second=says(kind, ["Hell", "o", " world"]))
    if not streamed:
        assert text == "Hello world", answer.body[-300:]


@clients
@kinds
@both
def test_a_character_in_two_halves_is_one(asked, client, kind, streamed):
    text, answer = asked(kind, client, streamed, around(kind, with_text(kind, "\\ud83d", ""), with_text(kind, "\\ude00", ""), with_text(kind, "o", "")))
    assert text == "Hell\U0001F600o world", answer.body


def noise(kind: str) -> list[bytes]:
    odd = [raw_event(kind, text) for text in ("null", "7", '"x"', "[]", '{"type":"ping"}', '{"cost":0.01}', "{}")]
    if kind == "ollama":
        return odd
    return [*odd, b": comment\n\n", raw_event(kind, "{}", "ping"), raw_event(kind, '{"a":[1]}', "usage.update"),
            *([raw_event(kind, "busy", "heartbeat")] if kind == "openai" else [])]


@clients
@kinds
@both
def test_what_is_no_part_of_an_answer_is_no_failure(asked, client, kind, streamed):
    for one in noise(kind):
        text, answer = asked(kind, client, streamed, around(kind, one, with_text(kind, "o", "")))
        assert text == "Hello world", (one, answer.body)
        parts = parts_of(kind, ["Hello", " world"], with_calls=False)
        text, answer = asked(kind, client, streamed, as_stream(kind, [one, *parts]))
        assert text == "Hello world", (one, answer.body)
        text, answer = asked(kind, client, streamed, as_stream(kind, [parts[0], one, *parts[1:]]))
        assert text == "Hello world", (one, answer.body)


WRONG = ["null", "5", '"x"', "[]", "[null]", '{"a":1}', "true", "-1", '""']


@clients
@both
def test_members_of_another_type_are_no_exception(asked, client, streamed):
    """Each member of each event of Anthropic's stream, in turn, is something else: an answer or an error, never a connection that closes."""
    events_of = [json.loads(part.split(b"data: ")[1]) for part in parts_of("anthropic", ["Hello"], thoughts=["so"])]
    paths = []

    def walk(value, path):
        if isinstance(value, dict):
            for name, inner in value.items():
                paths.append((*path, name))
                walk(inner, (*path, name))
    for number, one in enumerate(events_of):
        walk(one, (number,))
    for index, (number, *path) in enumerate(paths):
        changed = json.loads(json.dumps(events_of))
        at = changed[number]
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = json.loads(WRONG[index % len(WRONG)])
        reply = stream([f"event: {events_of[i]['type']}\ndata: {json.dumps(one)}\n\n".encode() for i, one in enumerate(changed)])
        _, answer = asked("anthropic", client, False, reply)
        assert answer.status in (200, 502), (path, answer.body)
        json.loads(answer.body)


@clients
@kinds
def test_whole_answers_with_members_of_another_type(asked, upstream, gateway, client, kind):
    bodies = {"openai": json.loads(whole_of("openai")), "anthropic": json.loads(whole_of("anthropic")), "ollama": json.loads(whole_of("ollama"))}
    served = gateway(config_text([backend_of(kind, "a", upstream.port, aggregate="off")], breaker={"on": False}))
    paths = []

    def walk(value, path):
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, inner in inside:
            paths.append((*path, name))
            walk(inner, (*path, name))
    walk(bodies[kind], ())
    for path in paths:
        for wrong in WRONG:
            changed = json.loads(json.dumps(bodies[kind]))
            at = changed
            for name in path[:-1]:
                at = at[name]
            at[path[-1]] = json.loads(wrong)
            upstream.script(whole(200, changed))
            answer = call(served.port, "POST", PATHS[client], request_of(client, stream=False))
            assert answer.status in (200, 502, 503, 504, 429, 404), (path, wrong, answer.status, answer.body)
            json.loads(answer.body)


def whole_of(kind: str) -> bytes:
    class Asked:
        json = {"stream": False}
    from speakers import calls
    reply = calls(kind)(Asked())
    return b"".join(step.data for step in reply.steps if isinstance(step, Send)).split(b"\r\n\r\n", 1)[1]


@clients
@kinds
def test_an_answer_that_is_put_together_is_bounded(asked, client, kind):
    limits = {"max_response": "1MiB"}
    big = [with_text(kind, "x" * 60_000, "") for _ in range(40)]
    text, answer = asked(kind, client, False, around(kind, *big), limits=limits)
    assert text is None and answer.status == 502 and b"max_response" in answer.body, answer.body[:300]
    text, answer = asked(kind, client, True, around(kind, *big), limits=limits)
    # The last event of a Responses stream repeats all of it, so that has to be kept.
    assert text == (None if client == "responses" else "Hell" + "x" * 2_400_000 + " world")


@both
def test_a_refusal_that_came_compressed_is_told_as_any_other(asked, upstream, gateway, streamed):
    body = json.dumps(error_body("mind your temperature", "invalid_request_error", "bad_value")).encode()
    raw = zlib.compressobj(wbits=-15)
    codings = {"gzip": gzip.compress(body), "x-gzip": gzip.compress(body), "deflate": zlib.compress(body), "Deflate": raw.compress(body) + raw.flush()}
    served = gateway(config_text([backend_of("openai", "a", upstream.port)]))
    for coding, packed in codings.items():
        upstream.script(whole(400, packed, [("Content-Encoding", coding)]))
        answer = call(served.port, "POST", "/v1/chat/completions", request_of("openai", stream=streamed))
        assert answer.status == 400 and answer.body == body and answer.header("content-encoding") is None, (coding, answer.body)
    for coding, packed in {"gzip": gzip.compress(body)[:-9], "br": b"\x0b\x02", "gzip, gzip": gzip.compress(gzip.compress(body)), "deflate": b"xx"}.items():
        upstream.script(whole(400, packed, [("Content-Encoding", coding)]))
        answer = call(served.port, "POST", "/v1/chat/completions", request_of("openai", stream=streamed))
        assert answer.status == 400 and "compressed" in answer.error["message"], (coding, answer.body)


def test_a_model_that_no_target_has_is_told_by_its_code(gateway, upstream, second_upstream):
    for fake in (upstream, second_upstream):
        fake.script(whole(404, error_body("no such model", "invalid_request_error", "model_not_found")))
    served = gateway(config_text([backend_of("openai", "a", upstream.port), backend_of("openai", "b", second_upstream.port)],
                                 [{"model": "*", "targets": [{"backend": "a"}, {"backend": "b"}]}]))
    answer = call(served.port, "POST", "/v1/chat/completions", request_of("openai", stream=False))
    assert (answer.status, answer.error["code"]) == (404, "model_not_found"), answer.body


@both
@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"], ids=["lf", "cr", "crlf"])
def test_what_comes_before_the_first_token_is_read_in_one_go(gateway, upstream, second_upstream, streamed, line_end):
    """2 MiB of small events: other requests of that thread hardly wait."""
    import threading
    import time
    from clock import slow
    empty = ("data: " + json.dumps(delta({})) + line_end * 2).encode()
    many = empty * (900_000 // len(empty))
    upstream.script(begun([many[i:i + 60_000] for i in range(0, len(many), 60_000)] + [sse(delta({"content": "x"}, "stop")), sse("[DONE]")]) + [Close()])
    second_upstream.script(says("openai"))
    served = gateway(config_text([backend_of("openai", "a", upstream.port, aggregate="on"), backend_of("openai", "b", second_upstream.port)],
                                 [{"model": "test", "targets": [{"backend": "a"}]}, {"model": "other", "targets": [{"backend": "b"}]}],
                                 server={"threads": 1}, defaults=timeouts(8, 4)))
    done = []
    asking = threading.Thread(target=lambda: done.append(call(served.port, "POST", "/v1/chat/completions", request_of("openai", stream=streamed), timeout=slow(10))))
    asking.start()
    waited = 0.0
    while asking.is_alive():
        began = time.monotonic()
        assert call(served.port, "POST", "/v1/chat/completions", {**request_of("openai", stream=False), "model": "other"}).status == 200
        waited = max(waited, time.monotonic() - began)
    asking.join()
    assert done[0].status == 200, done[0].body
    assert waited < slow(0.25), waited


def test_a_limit_of_tokens_without_end_steers_nothing(gateway, upstream):
    upstream.script(says("openai"))
    served = gateway(config_text([backend_of("openai", "a", upstream.port)]))
    for limit in (9223372036854775807, 2**53 + 1, 10**15):
        answer = call(served.port, "POST", "/v1/chat/completions", request_of("openai", stream=False, max_tokens=limit))
        assert answer.status == 200 and upstream.requests[-1].json["max_tokens"] == limit
