"""A whole answer that is streamed from its Backend and assembled, so that silence and cuts are noticed and mended."""

from __future__ import annotations

import pytest

from gateway import config_text, openai_backend, timeouts
from http_client import call, chat, chat_body
from replies import Pause, Reply, Reset, Silence, answer, delta, error, events, sse, stream, usage_event
from test_resume import BREAKS, ENGLISH, breaking, continuing, pieces

pytestmark = pytest.mark.sanitized


@pytest.fixture
def two(gateway, upstream, second_upstream):
    def start(**more):
        return gateway(config_text([openai_backend("a", upstream.port, **more),
                                    openai_backend("b", second_upstream.port, resume="continue_final_message")], defaults=timeouts(0.8, 0.4)))
    return start


def body_of(got) -> dict:
    assert got.status == 200 and got.header("content-type") == "application/json", got
    return got.json


def text_of(got) -> str:
    return body_of(got)["choices"][0]["message"]["content"]


def test_an_answer_without_limit_is_streamed_and_assembled(two, upstream):
    upstream.script(stream(events(pieces(ENGLISH), usage=True)))
    got = chat(two().port)
    assert body_of(got) == {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1700000000, "model": "fake-model",
                            "choices": [{"index": 0, "message": {"role": "assistant", "content": ENGLISH}, "finish_reason": "stop"}],
                            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    sent = upstream.requests[-1].json
    assert sent["stream"] is True and sent["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("more,streams", [({"max_tokens": 256}, False), ({"max_tokens": 257}, True), ({"max_completion_tokens": 10}, False),
                                          ({"modalities": ["text", "audio"], "audio": {"voice": "x"}}, False)])
def test_a_short_answer_comes_whole(two, upstream, more, streams):
    upstream.script(stream(events(["Hi"])) if streams else answer("Hi"))
    assert text_of(chat(two().port, chat_body(**more))) == "Hi"
    assert upstream.requests[-1].json.get("stream", False) is streams


@pytest.mark.parametrize("aggregate,streams", [("on", True), ("off", False)])
def test_the_backend_may_say_always_or_never(two, upstream, aggregate, streams):
    upstream.script(stream(events(["Hi"])) if streams else answer("Hi"))
    assert text_of(chat(two(aggregate=aggregate).port, chat_body(**({"max_tokens": 3} if streams else {})))) == "Hi"
    assert upstream.requests[-1].json.get("stream", False) is streams


@pytest.mark.parametrize("members", ['"stream":false', '"stream" : false , "stream_options":{"include_usage":false}', '"stream_options":null', '"stream_options":{"include_usage":true}'])
def test_the_rest_of_the_body_stays_as_it_came(two, upstream, members):
    upstream.script(stream(events(["Hi"])))
    served = two()
    got = call(served.port, "POST", "/v1/chat/completions", b'{"model":"x","seed":12345678901234567890,' + members.encode() + b',"messages":[{"role":"user","content":"q"}]}')
    assert text_of(got) == "Hi"
    sent = upstream.requests[-1]
    assert b'"seed":12345678901234567890' in sent.body
    assert sent.json["stream"] is True and sent.json["stream_options"] == {"include_usage": True}


def test_calls_reasoning_logprobs_and_unknown_members_are_kept(two, upstream):
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    parts = [delta({"role": "assistant", "content": None, "reasoning_content": "think"}), delta({"reasoning_content": "ing", "new_member": {"x": 1}}),
             delta({"content": "Yes."}), delta({"tool_calls": [call]}), delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}),
             delta({"tool_calls": [{"index": 0, "function": {"arguments": '1}'}}]}), delta({}, "tool_calls")]
    parts[2]["choices"][0]["logprobs"] = {"content": [{"token": "Yes.", "logprob": -0.25}]}
    upstream.script(stream([*map(sse, parts), sse(usage_event()), sse("[DONE]")]))
    got = body_of(chat(two().port))
    assert got["choices"] == [{"index": 0, "message": {
        "role": "assistant", "content": "Yes.", "reasoning_content": "thinking", "new_member": {"x": 1},
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]},
        "logprobs": {"content": [{"token": "Yes.", "logprob": -0.25}]}, "finish_reason": "tool_calls"}]


def test_a_server_that_cannot_stream_answers_whole_and_is_asked_so_from_then_on(two, upstream):
    upstream.script(answer("Hi"), answer("Hi"))
    served = two()
    assert text_of(chat(served.port)) == "Hi" and text_of(chat(served.port)) == "Hi"
    assert [request.json.get("stream", False) for request in upstream.requests] == [True, False]


@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS.keys())
def test_whatever_breaks_it_the_client_gets_the_whole_answer(two, upstream, second_upstream, ending):
    upstream.script(breaking(ENGLISH, 47, Pause(0.03), *ending))
    second_upstream.script(continuing(ENGLISH, "continue_final_message"))
    got = chat(two().port)
    assert text_of(got) == ENGLISH and body_of(got)["choices"][0]["finish_reason"] == "stop"
    assert got.header("x-spillway-backend") == "a" and got.header("x-spillway-attempts") == "2"


def test_a_target_that_says_something_else_is_asked_anew(two, upstream, second_upstream):
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(stream(events(["Something ", "else."])))
    got = chat(two().port)
    assert text_of(got) == "Something else." and got.header("x-spillway-backend") == "b"


@pytest.mark.parametrize("more", [{"n": 2}, {"logprobs": True}, {"response_format": {"type": "json_object"}}])
def test_what_cannot_be_continued_is_asked_anew_since_nobody_has_seen_it(two, upstream, second_upstream, more):
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(stream(events(["All ", "of it."])))
    got = chat(two().port, chat_body(**more))
    assert text_of(got) == "All of it."
    assert [message["role"] for message in second_upstream.requests[-1].json["messages"]] == ["user"]


def test_when_nobody_can_go_on_the_client_gets_a_status(two, upstream, second_upstream):
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(error(503))
    got = chat(two().port)
    assert got.status == 502 and got.json["error"]["code"] == "all_targets_failed"
    assert "a: cut" in got.json["error"]["message"] and "b: overload 503" in got.json["error"]["message"]
    assert got.header("x-spillway-backend") is None


def test_a_long_answer_that_is_not_streamed_has_the_answer_timeout(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port, aggregate="off", answer_timeout="1s"), openai_backend("b", second_upstream.port)],
                                 defaults=timeouts(0.2, 0.2)))
    upstream.script(Reply((Pause(0.5),)) + answer("late"), Reply((Silence(),)))
    second_upstream.script(stream(events(["b"])))
    assert text_of(chat(served.port)) == "late"
    assert text_of(chat(served.port)) == "b"


def test_a_short_one_has_its_tokens_time(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)], defaults=timeouts(0.2, 0.2)))
    upstream.script(Reply((Pause(0.5),)) + answer("late"), Reply((Silence(),)))
    second_upstream.script(answer("b"))
    assert text_of(chat(served.port, chat_body(max_tokens=5))) == "late"
    assert text_of(chat(served.port, chat_body(max_tokens=1))) == "b"
