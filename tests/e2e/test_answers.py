"""What is an answer, and what is not: finishes, noise, contents that nobody thought of, bodies under a wrong name."""

from __future__ import annotations

import json

import pytest

from gateway import config_text, openai_backend, timeouts
from http_client import chat, chat_body, stream_chat
from replies import (LAST_CHUNK, Close, Pause, Repeat, Reply, Reset, Send, Silence, answer, begun, chunk, completion, delta,
                     error_body, events, head, sse, stream, usage_event, whole)

pytestmark = pytest.mark.sanitized
ROLE = sse(delta({"role": "assistant", "content": ""}))
HI = sse(delta({"content": "Hi"}))
FIN = sse(delta({}, "stop"))
DONE = sse("[DONE]")


@pytest.fixture
def two(gateway, upstream, second_upstream):
    """"a" is scripted, "b" answers "Hello there"."""
    return gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)], defaults=timeouts(0.6, 0.4)))


def ask(gateway, upstream, reply):
    upstream.script(reply)
    return stream_chat(gateway.port)


def whole_from_a(got, text="Hi", finish=("stop",)) -> None:
    assert got.torn is None and got.errors == []
    assert (got.text, got.finish_reasons, got.done) == (text, list(finish), 1)
    assert got.answer.header("x-spillway-backend") == "a" and got.roles and set(got.roles) == {"assistant"}


# --- a finish --------------------------------------------------------------------------------------------------

def unfinished(value) -> list[bytes]:
    return [sse(delta({"role": "assistant", "content": "Hi "}, value)), sse(delta({"content": "the"}, value))]


@pytest.mark.parametrize("value", ["", "null"])
@pytest.mark.parametrize("end", [Close(), Reset(), Silence()], ids=["closed", "reset", "silent"])
def test_a_finish_reason_that_is_void_does_not_make_a_cut_answer_whole(two, upstream, value, end):
    got = ask(two, upstream, begun(unfinished(value)) + [Pause(0.05), end])
    assert got.text == "Hi the" and got.done == 0
    assert [found["code"] for found in got.errors] == ["stream_broken"]


@pytest.mark.parametrize("value", ["", "null"])
def test_done_after_only_void_finishes_gets_one(two, upstream, value):
    got = ask(two, upstream, stream([*unfinished(value), DONE]))
    assert got.finish_reasons[-1] == "stop" and got.done == 1 and got.errors == []


def choice(index: int, text: str = "", finish: str | None = None, role: bool = False) -> bytes:
    body = delta({"content": text} | ({"role": "assistant"} if role else {}), finish)
    body["choices"][0]["index"] = index
    return sse(body)


@pytest.mark.parametrize("end", [Close(), Silence()], ids=["closed", "silent"])
def test_each_choice_needs_its_own_finish(two, upstream, end):
    got = ask(two, upstream, begun([choice(0, "A", role=True), choice(1, "B", role=True), choice(0, "", "stop"), choice(1, "unfini")]) + [Pause(0.05), end])
    assert got.done == 0 and [found["code"] for found in got.errors] == ["stream_broken"]


def test_roles_and_finishes_are_added_for_each_choice(two, upstream):
    got = ask(two, upstream, stream([choice(0, "A"), choice(1, "B"), choice(0, "", "length"), DONE]))
    by_index = {index: [one for part in got.chunks for one in part["choices"] if one["index"] == index] for index in (0, 1)}
    for index, finish in ((0, "length"), (1, "stop")):
        assert [one["delta"]["role"] for one in by_index[index] if one["delta"].get("role")] == ["assistant"]
        assert by_index[index][0]["delta"].get("role") == "assistant"
        assert [one["finish_reason"] for one in by_index[index] if one["finish_reason"]] == [finish]


@pytest.mark.parametrize("call,finish", [({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, "tool_calls"),
                                         ({"function_call": {"name": "f", "arguments": "{}"}}, "function_call")])
def test_an_added_finish_after_a_call_says_so(two, upstream, call, finish):
    got = ask(two, upstream, stream([ROLE, sse(delta(call)), DONE]))
    assert (got.finish_reasons, got.done) == ([finish], 1)


# --- noise -----------------------------------------------------------------------------------------------------

NOISE = {"a named event": b"event: ping\ndata: {}\n\n", "a named event with text": b"event: ping\ndata: hello\n\n",
         "a ping object": sse({"type": "ping"}), "no choices": sse({"id": "x", "object": "chat.completion.chunk"}),
         "null choices": sse({"choices": None}), "a void error": sse({**delta({"content": ""}), "error": ""}),
         "an empty error": sse({**delta({"content": ""}), "error": {}}), "no error": sse({**delta({"content": ""}), "error": False}),
         "empty data": b"data:\n\n", "a price": sse({"cost": 0.01})}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE.keys())
@pytest.mark.parametrize("where", range(4))
def test_noise_neither_breaks_an_answer_nor_counts_as_one(two, upstream, noise, where):
    parts = [ROLE, HI, sse(delta({"content": " there"})), FIN, DONE]
    parts.insert(where + 1, noise)
    whole_from_a(ask(two, upstream, stream(parts)), "Hi there")


AFTERWARDS = {"a price": sse({"cost": 0.01}), "an error object": sse(error_body("too late")), "garbage": b"data: <html>\n\n",
              "an error event": b"event: error\ndata: {}\n\n", "two texts": b"data: {}\ndata: {}\n\n"}


@pytest.mark.parametrize("late", AFTERWARDS.values(), ids=AFTERWARDS.keys())
def test_nothing_breaks_an_answer_that_has_its_finish(two, upstream, late):
    whole_from_a(ask(two, upstream, stream([ROLE, HI, FIN, late, sse(usage_event()), DONE])))
    whole_from_a(ask(two, upstream, stream([ROLE, HI, FIN, late])))


def test_done_may_have_white_space_behind_it(two, upstream):
    whole_from_a(ask(two, upstream, stream([ROLE, HI, FIN, b"data: [DONE] \t\n\n"])))


def test_pings_are_no_token(two, upstream):
    got = ask(two, upstream, begun([ROLE]) + [Repeat(chunk(sse({"type": "ping"})), 0.02)])
    assert (got.text, got.answer.header("x-spillway-backend"), got.answer.attempts) == ("Hello there", "b", 2)


@pytest.mark.parametrize("bad", [b"data: <html>\n\n", b"data: hello\n\n", b"data: {\"a\":\n\n"])
def test_data_that_is_not_json_stays_garbage(two, upstream, bad):
    got = ask(two, upstream, begun([ROLE, bad]) + [Silence()])
    assert (got.answer.header("x-spillway-backend"), got.answer.attempts) == ("b", 2)
    got = ask(two, upstream, begun([ROLE, HI, bad]) + [Silence()])
    assert got.text == "Hi" and [found["code"] for found in got.errors] == ["stream_broken"]


# --- what is content -------------------------------------------------------------------------------------------

def test_a_length_finish_without_content_is_an_answer(two, upstream):
    whole_from_a(ask(two, upstream, stream([ROLE, sse(delta({}, "length")), DONE])), "", ["length"])
    whole_from_a(ask(two, upstream, stream([ROLE, sse(delta({}, "content_filter")), DONE])), "", ["content_filter"])


def test_counted_tokens_without_content_are_an_answer(two, upstream):
    whole_from_a(ask(two, upstream, stream([ROLE, FIN, sse(usage_event(completion_tokens=1)), DONE])), "")


def test_a_bare_stop_is_empty(two, upstream):
    got = ask(two, upstream, stream([ROLE, FIN, sse(usage_event(completion_tokens=0)), DONE]))
    assert (got.answer.header("x-spillway-backend"), got.answer.attempts) == ("b", 2)


@pytest.mark.parametrize("message,finish", [({"role": "assistant", "content": ""}, "length"), ({"role": "assistant", "content": "", "images": [{"url": "x"}]}, "stop"),
                                            ({"role": "assistant", "content": None, "thinking_blocks": [{"t": 1}]}, "stop")])
def test_a_whole_answer_that_is_one(two, upstream, message, finish):
    body = {"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    upstream.script(whole(200, body))
    got = chat(two.port)
    assert (got.header("x-spillway-backend"), got.json) == ("a", body)


@pytest.mark.parametrize("content", [{"images": [{"image_url": {"url": "data:x"}}]}, {"reasoning_details": [{"text": "hm"}]}, {"thinking": "hm"},
                                     {"thinking_blocks": [{"thinking": "hm"}]}])
def test_any_member_of_a_delta_is_content(two, upstream, content):
    got = ask(two, upstream, stream([ROLE, sse(delta({"content": "", **content})), FIN, DONE]))
    whole_from_a(got, "")
    assert any(set(content) <= set(part["choices"][0]["delta"]) for part in got.chunks if part["choices"])


def test_half_a_surrogate_pair_is_content(two, upstream):
    halves = [b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n',
              b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\\ude00"}}]}\n\n']
    got = ask(two, upstream, stream([ROLE, *halves, FIN, DONE]))
    assert got.answer.header("x-spillway-backend") == "a" and got.finish_reasons == ["stop"]


# --- framing ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/octet-stream", None])
@pytest.mark.parametrize("lead", [b"", b": keep-alive\n\n", b"event: message\n", b"id: 1\n", b"\r\n"], ids=["data", "comment", "event", "id", "blank"])
def test_a_stream_under_another_name_is_one(two, upstream, kind, lead):
    fields = [("Transfer-Encoding", "chunked")] + ([("Content-Type", kind)] if kind else [])
    body = [lead + ROLE, HI, FIN, DONE]
    upstream.script(Reply((Send(head(200, fields)), Send(b"".join(map(chunk, body)) + LAST_CHUNK))))
    got = stream_chat(two.port)
    whole_from_a(got)
    assert got.answer.header("content-type").startswith("text/event-stream")


def test_a_whole_answer_where_a_stream_was_asked_for_is_left(two, upstream):
    upstream.script(answer("whole"))
    got = stream_chat(two.port)
    assert (got.text, got.answer.header("x-spillway-backend")) == ("Hello there", "b")


def test_chunks_that_are_lines_of_one_event_come_apart(two, upstream):
    lines = [json.dumps(delta({"role": "assistant", "content": "Hi"})), json.dumps(delta({"content": " there"}))]
    whole_from_a(ask(two, upstream, stream([sse("\n".join(lines)), FIN, DONE])), "Hi there")
    whole_from_a(ask(two, upstream, stream([ROLE, HI, sse("\n".join(lines[1:] * 2)), FIN, DONE])), "Hi there there")


@pytest.mark.parametrize("bad", [b"data: {}{}\n\n", b"data: {\"choices\":[]}\ndata: <html>\n\n"])
def test_texts_that_cannot_come_apart_are_garbage(two, upstream, bad):
    got = ask(two, upstream, begun([ROLE, bad]) + [Silence()])
    assert (got.answer.header("x-spillway-backend"), got.answer.attempts) == ("b", 2)


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_last_event_without_its_empty_line_counts_when_the_body_is_whole(two, upstream, framing):
    whole_from_a(ask(two, upstream, stream([ROLE, HI, FIN[:-1]], framing=framing)))
    whole_from_a(ask(two, upstream, stream([ROLE, HI, FIN[:-2]], framing=framing)))


# --- refusals --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status,body,kind,words", [
    (400, "<!DOCTYPE html><html>nope</html>", "text/html", "an HTML page"), (413, "<html>413</html>", "text/html", "an HTML page"),
    (422, "", "application/json", "without a word"), (400, "prompt too rude", "text/plain", "prompt too rude")])
def test_a_refusal_that_is_no_json_is_wrapped(two, upstream, second_upstream, status, body, kind, words, streamed):
    upstream.script(whole(status, body, content_type=kind))
    got = chat(two.port, chat_body(stream=streamed))
    assert got.status == status and got.header("content-type") == "application/json"
    assert words in got.error["message"] and "a refused" in got.error["message"] and str(status) in got.error["message"]
    assert second_upstream.requests == []


def test_a_refusal_in_an_unknown_coding_is_wrapped_and_named(two, upstream):
    upstream.script(whole(400, b"\x0b\x02\x80", [("Content-Encoding", "br")]))
    got = chat(two.port)
    assert got.status == 400 and "compressed as br" in got.error["message"] and got.header("content-encoding") is None
