"""Failing over, hedging and going on with a broken answer from a Backend of one Dialect at one of another."""

from __future__ import annotations

import json

import pytest

from fake_upstream import FakeUpstream
from gateway import backend_of, config_text, timeouts
from http_client import call
from replies import Close, Reply, Silence
from sdks import HELLO, SDKS
from speakers import CALLS, KINDS, as_begun, as_stream, begins, calls, is_streamed, parts_of, refuses, says
from strict import PATHS, read_stream, request_of

pytestmark = pytest.mark.sanitized

WORDS = [(" " if i else "") + word for i, word in
         enumerate("The quick brown fox jumps over the lazy dog and runs far away into the dark green forest".split())]
TEXT = "".join(WORDS)


def goes_on(kind: str):
    """A Backend that continues an assistant's last turn, or repeats the anchor that a user's last turn asks for."""
    def reply(request):
        last = request.json["messages"][-1]
        content = last["content"] if isinstance(last["content"], str) else last["content"][0]["text"]
        if last["role"] == "assistant":
            assert TEXT.startswith(content), content
            return says(kind, [TEXT[len(content):][i:i + 7] for i in range(0, len(TEXT) - len(content), 7)])(request)
        if "connection dropped" in content:
            anchor = content.rsplit("\n", 1)[1]
            at = TEXT.index(anchor)
            return says(kind, [TEXT[at:][i:i + 7] for i in range(0, len(TEXT) - at, 7)])(request)
        return says(kind, WORDS)(request)
    return reply


@pytest.fixture
def two(gateway, upstream, second_upstream):
    """two(first_kind, second_kind, route…) → a gateway with Backend a before Backend b."""
    def start(first: str, second: str, **route):
        backends = [backend_of(first, "a", upstream.port), backend_of(second, "b", second_upstream.port)]
        routes = [{"model": "*", "targets": [{"backend": "a"}, {"backend": "b", "model": "other"}], **route}]
        return gateway(config_text(backends, routes, defaults=timeouts(), breaker={"on": False}))
    return start


PAIRS = [(first, second) for first in KINDS for second in KINDS if first != second]
pairs = pytest.mark.parametrize("first,second", PAIRS, ids=[f"{a}-then-{b}" for a, b in PAIRS])
clients = pytest.mark.parametrize("client", KINDS)


@clients
@pairs
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_an_overloaded_backend_is_replaced(two, upstream, second_upstream, client, first, second, streamed):
    upstream.script(refuses(first, 503))
    second_upstream.script(says(second))
    served = two(first, second, retries=0)
    said = SDKS[client](served.port).ask(HELLO, streamed)
    assert said.text == "Hello there" and said.usage == (3, 2)
    assert second_upstream.requests[-1].json["model"] == "other"


@clients
@pairs
def test_a_cut_answer_is_gone_on_with(two, upstream, second_upstream, client, first, second):
    upstream.script(begins(first, WORDS[:9]) + [Close()])
    second_upstream.script(goes_on(second))
    served = two(first, second)
    said = SDKS[client](served.port).ask(HELLO, True)
    assert said.text == TEXT
    assert said.finish == SDKS[client].finishes["stop"]


@clients
@pairs
def test_a_cut_answer_is_whole_for_a_client_that_does_not_stream(two, upstream, second_upstream, client, first, second):
    def cut(request):
        return begins(first, WORDS[:9]) + [Close()] if is_streamed(first, request) else refuses(first, 503)
    upstream.script(cut)
    second_upstream.script(goes_on(second))
    served = two(first, second, retries=0)
    said = SDKS[client](served.port).ask(HELLO, False)
    assert said.text == TEXT and said.finish == SDKS[client].finishes["stop"]


@pairs
def test_a_silent_answer_is_gone_on_with_as_events_of_one_stream(two, upstream, second_upstream, first, second):
    upstream.script(begins(first, WORDS[:9]) + [Silence()])
    second_upstream.script(goes_on(second))
    served = two(first, second)
    body = {"model": "test", "messages": HELLO, "stream": True, "max_tokens": 500}
    answer = call(served.port, "POST", "/v1/messages", body)
    lines = answer.body.decode().splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names.count("message_start") == names.count("message_stop") == names.count("message_delta") == 1
    assert names.count("content_block_start") == names.count("content_block_stop") == 1
    assert [line for line in lines if line.startswith(": spillway") and '"reason":"idle_timeout"' in line]
    indexes = [json.loads(line.removeprefix("data: ")).get("index") for line in lines if line.startswith("data: ")]
    assert set(indexes) <= {None, 0}


@clients
@pairs
def test_a_cut_before_the_end_of_a_tool_call_is_asked_again(two, upstream, second_upstream, client, first, second):
    whole = calls(first)

    class Asked:
        json = {"stream": True}
    steps = whole(Asked()).steps
    upstream.script(Reply(steps[:-2]) + [Close()])
    second_upstream.script(calls(second))
    served = two(first, second)
    said = SDKS[client](served.port).ask(HELLO, True, tools=True)
    assert [name for name, _ in said.calls] == ["get_weather", "get_time"]
    assert said.finish == SDKS[client].finishes["calls"]


@clients
@pairs
def test_a_hedge_wins_in_another_dialect(two, upstream, second_upstream, client, first, second):
    upstream.script(Reply((Silence(),)))
    second_upstream.script(says(second))
    served = two(first, second, hedge="20ms")
    assert SDKS[client](served.port).ask(HELLO, True).text == "Hello there"


def goes_on_with_calls(kind: str):
    """As goes_on(), and behind the text there are two calls."""
    def reply(request):
        last = request.json["messages"][-1]
        content = last["content"] if isinstance(last["content"], str) else last["content"][0]["text"]
        at = 0
        if last["role"] == "assistant":
            assert TEXT.startswith(content), content
            at = len(content)
        elif "connection dropped" in content:
            at = TEXT.index(content.split("without any remark:\n", 1)[1])
        return as_stream(kind, parts_of(kind, [TEXT[at:][i:i + 7] for i in range(0, len(TEXT) - at, 7)]))
    return reply


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_wherever_it_is_cut_the_client_has_a_legal_stream_and_the_whole_of_it_or_an_error(two, upstream, second_upstream, client, first, second):
    parts = parts_of(first, WORDS[:9], thoughts=["Let me ", "see."])
    served = two(first, second, retries=0)
    told = 0
    for cut in range(len(parts) + 1):
        upstream.script(as_begun(first, parts[:cut]) + [Close()])
        second_upstream.script(goes_on_with_calls(second))
        answer = call(served.port, "POST", PATHS[client], request_of(client))
        assert answer.status == 200, (cut, answer.body)
        read = read_stream(client, answer.body)
        if read.error is not None:
            told += 1
            assert TEXT.startswith(read.text), (cut, read.text)
            continue
        # A cut behind the finish leaves the answer of the first, which is whole.
        ended = b"finish_reason\": \"tool" in parts[cut - 1] or cut > len(parts) - 3
        assert read.text == ("".join(WORDS[:9]) if ended and len(second_upstream.requests) == 0 else TEXT), (cut, read.text)
        assert read.calls == list(CALLS) and read.finish == "calls", (cut, read)
        second_upstream.requests.clear()
    assert told <= 2, told  # behind the very first words nothing can be proved


def test_a_target_that_cannot_carry_it_is_passed_over(two, upstream, second_upstream):
    upstream.script(says("anthropic"))
    second_upstream.script(says("openai"))
    served = two("anthropic", "openai")
    body = {"model": "test", "messages": HELLO, "logprobs": True, "logit_bias": {"50256": -100}}
    answer = call(served.port, "POST", "/v1/chat/completions", body)
    assert answer.status == 200 and answer.header("x-spillway-backend") == "b"
    assert not upstream.requests


def test_what_no_target_can_carry_is_refused_by_name(gateway, upstream):
    served = gateway(config_text([backend_of("anthropic", "a", upstream.port)]))
    for name, value in {"logit_bias": {"50256": -100}, "n": 2, "logprobs": True, "response_format": {"type": "json_object"},
                        "presence_penalty": 0.5, "made_up": 1, "audio": {"voice": "x"}}.items():
        answer = call(served.port, "POST", "/v1/chat/completions", {"model": "test", "messages": HELLO, name: value})
        assert answer.status == 400 and answer.error["param"] == name, (name, answer.body)
        assert answer.error["code"] == "invalid_request"
    assert not upstream.requests


def test_what_is_left_out_is_told(gateway, upstream):
    upstream.script(says("anthropic"))
    served = gateway(config_text([backend_of("anthropic", "a", upstream.port)]))
    body = {"model": "test", "messages": HELLO, "seed": 1, "temperature": 1.5, "metadata": {"a": "b"}}
    answer = call(served.port, "POST", "/v1/chat/completions", body)
    assert answer.status == 200
    assert sorted(answer.header("x-spillway-dropped").split(", ")) == ["metadata", "seed", "temperature"]
    assert upstream.requests[-1].json["temperature"] == 1
