"""A stream that breaks after its first token goes on at the next Target: the client sees one answer, byte for byte."""

from __future__ import annotations

import json
import random
import threading

import pytest

from clock import slow
from fake_upstream import FakeUpstream
from gateway import config_text, local_backend, openai_backend, timeouts
from http_client import Connection, chat, chat_body, open_stream, stream_chat
from replies import (LAST_CHUNK, Close, Hold, Pause, Repeat, Reply, Reset, Send, Silence, begun, chunk, delta, error, error_body, events, sse,
                     stream, usage_event)
from simulated import Simulated

pytestmark = pytest.mark.sanitized
ENGLISH = "The sky is blue because of Rayleigh scattering: short waves are scattered more than long ones, so we see blue."
CHINESE = "天空之所以是蓝色的，是因为瑞利散射：短波长的光比长波长的光散射得更多，所以我们看到的是蓝色。"
MIXED = "Step 1:\n  做一件事 🦀.\nStep 2:\n  no, no, no — naïve café.\nStep 3:\n  哈哈哈哈哈哈哈哈哈哈 and the end of it."


def pieces(text: str, seed: int = 1) -> list[str]:
    """`text` as a model's tokens may cut it."""
    source, out = random.Random(seed), []
    while text:
        size = source.randint(1, 5)
        out.append(text[:size])
        text = text[size:]
    return out


def breaking(text: str, at: int, *ending) -> Reply:
    """The first `at` characters, live, and then `ending`."""
    return begun(events(pieces(text[:at]), finish=None, done=False)) + list(ending)


def prefix_of(request, form: str) -> str | None:
    """What the request says has been said, in that wire form; None where it is not in that form."""
    body = request.json
    last = body["messages"][-1]
    if form not in FORMS:
        return None
    if form == "prefix_field":
        return body.get("prefix")
    if last["role"] != "assistant":
        return None
    if form == "prefix" and last.get("prefix") is not True or form == "partial" and last.get("partial") is not True:
        return None
    if form == "continue_final_message" and (body.get("continue_final_message"), body.get("add_generation_prompt")) != (True, False):
        return None
    if form == "assistant" and (len(last) != 2 or last["content"] != last["content"].rstrip()):
        return None
    return last["content"]


def continuing(text: str, form: str, echo: bool = False, usage: bool = False):
    """An upstream that insists on `form` to continue, and answers 400 to any other trailing assistant turn."""
    def reply(request) -> Reply:
        prefix = prefix_of(request, form)
        if prefix is None and (request.json["messages"][-1]["role"] == "assistant" or "prefix" in request.json):
            return error(400, "a trailing assistant turn is not supported")
        prefix = prefix or ""
        assert text.startswith(prefix), f"not a beginning of the answer: {prefix!r}"
        return stream(events(pieces(text if echo else text[len(prefix):], 2), model="other", usage=usage))
    return reply


@pytest.fixture
def two(gateway, upstream, second_upstream):
    def start(form: str = "continue_final_message", aggregate: str = "auto", **route):
        return gateway(config_text([openai_backend("a", upstream.port, aggregate=aggregate), openai_backend("b", second_upstream.port, resume=form)],
                                   [{"model": "*", "targets": [{"backend": "a", "model": "m-a"}, {"backend": "b", "model": "m-b"}], "retries": 0, **route}],
                                   defaults=timeouts(2, 0.4)))
    return start


def seamless(got, text: str) -> None:
    assert got.torn is None and got.errors == [], got.errors
    assert got.text == text
    assert (got.roles, got.finish_reasons, got.done) == (["assistant"], ["stop"], 1)
    assert len({part["id"] for part in got.chunks}) == 1 and {part["model"] for part in got.chunks} == {"fake-model"}
    assert got.answer.header("x-spillway-backend") == "a"


FORMS = ["prefix", "partial", "prefix_field", "continue_final_message", "assistant", "replay"]
BREAKS = {"reset": [Reset()], "clean end": [Send(LAST_CHUNK)], "closed": [Close()], "silence": [Silence()],
          "keep-alives": [Repeat(chunk(b": keep-alive\n\n"), 0.02)], "error event": [Send(chunk(sse(error_body("overloaded"))))],
          "broken JSON": [Send(chunk(b"data: {\"id\":\n\n"))], "wrong framing": [Send(b"zz\r\n")],
          "inside a character": [Send(chunk(b'data: {"choices":[{"delta":{"content":"\xe5\xa4'))] + [Close()],
          "inside a field": [Send(chunk(b"da"))] + [Close()]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", [ENGLISH, CHINESE, MIXED], ids=["english", "chinese", "mixed"])
def test_each_form_continues_byte_for_byte(two, upstream, second_upstream, form, text):
    served = two(form)
    for at in (30, 44, len(text) - 3):
        upstream.script(breaking(text, at, Reset()))
        second_upstream.script(continuing(text, form))
        seamless(stream_chat(served.port), text)


@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS.keys())
def test_whatever_breaks_it_the_answer_goes_on(two, upstream, second_upstream, ending):
    served = two()
    upstream.script(breaking(ENGLISH, 47, Pause(0.03), *ending))
    second_upstream.script(continuing(ENGLISH, "continue_final_message"))
    seamless(stream_chat(served.port), ENGLISH)


def test_a_trickle_below_the_floor_is_left_for_one_that_is_faster(two, upstream, second_upstream):
    served = two(min_tokens_per_second=4)
    trickle = [Send(chunk(event)) if i == 0 else step for event in events(list(ENGLISH[30:60]), role=False, finish=None, done=False)
               for i, step in enumerate((None, Pause(0.35)))]
    upstream.script(breaking(ENGLISH, 30, *trickle))
    second_upstream.script(continuing(ENGLISH, "continue_final_message"))
    got = stream_chat(served.port, timeout=slow(12))
    seamless(got, ENGLISH)
    assert any('"reason":"slow"' in comment for comment in got.comments)


@pytest.mark.parametrize("at", range(1, len(ENGLISH), 7))
def test_wherever_it_is_cut_the_answer_goes_on(two, upstream, second_upstream, at):
    served = two()
    upstream.script(breaking(ENGLISH, at, Reset()))
    second_upstream.script(continuing(ENGLISH, "continue_final_message"))
    seamless(stream_chat(served.port), ENGLISH)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, MIXED], ids=["english", "chinese", "mixed"])
@pytest.mark.parametrize("lead", ["", "Sure, here it is: "])
def test_one_that_is_asked_to_repeat_the_end_goes_on_behind_it(two, upstream, second_upstream, text, lead):
    served = two("ask")

    def answers(request) -> Reply:
        part, wish = request.json["messages"][-2:]
        assert (part["role"], wish["role"]) == ("assistant", "user") and text.startswith(part["content"])
        anchor = wish["content"].split("without any remark:\n", 1)[1]
        assert part["content"].endswith(anchor) and min(40, len(part["content"])) <= len(anchor) < 60
        return stream(events(pieces(lead + anchor + text[len(part["content"]):], 2)))

    for at in (30, 44, len(text) - 3):
        upstream.script(breaking(text, at, Reset()))
        second_upstream.script(answers)
        seamless(stream_chat(served.port), text)


def test_one_that_ignores_the_wish_is_asked_from_scratch(two, upstream, second_upstream):
    served = two("ask")
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(lambda request: stream(events(pieces(ENGLISH if request.json["messages"][-1]["content"] == "Say hello" else "As I said, it is blue."))))
    seamless(stream_chat(served.port), ENGLISH)
    assert len(second_upstream.requests) == 2


def test_the_first_content_comes_live_and_the_resume_is_told(two, upstream, second_upstream):
    served = two()
    from replies import Hold
    upstream.script(breaking(ENGLISH, 47, Hold(), Reset()))
    second_upstream.script(continuing(ENGLISH, "continue_final_message"))
    with Connection(served.port) as connection:
        reader = open_stream(connection)
        while len(reader.streamed.payloads) < 10:
            reader.next()
        upstream.release()
        got = reader.rest()
    seamless(got, ENGLISH)
    (told,) = [json.loads(comment.split(" ", 1)[1]) for comment in got.comments if comment.startswith("spillway ")]
    assert told == {"event": "resume", "backend": "b", "at_chars": 47, "reason": "cut"}
    line = json.loads(served.access_log_lines(1)[-1])
    assert [attempt["class"] for attempt in line["attempts"]] == ["cut", "answered"] and "error" not in line


def test_a_prefix_that_comes_back_as_an_echo_is_dropped(two, upstream, second_upstream):
    served = two()
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(continuing(ENGLISH, "continue_final_message", echo=True))
    seamless(stream_chat(served.port), ENGLISH)


@pytest.mark.parametrize("form", ["prefix", "partial", "prefix_field", "continue_final_message", "assistant"])
def test_a_target_that_refuses_the_prefix_is_asked_from_scratch(two, upstream, second_upstream, form):
    served = two(form)
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(continuing(ENGLISH, "nothing at all"))
    seamless(stream_chat(served.port), ENGLISH)


def test_what_was_found_to_work_is_remembered(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 server={"threads": 1}, defaults=timeouts(2, 0.4)))
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(continuing(ENGLISH, "nothing at all"))
    seamless(stream_chat(served.port), ENGLISH)
    asked = len(second_upstream.requests)
    assert asked == 4  # three forms are refused; asked to repeat the end and go on, it does
    seamless(stream_chat(served.port), ENGLISH)
    assert len(second_upstream.requests) == asked + 1  # it is not asked to continue again


@pytest.mark.parametrize("preset,form,member", [
    ("deepseek", "prefix", {"thinking": {"type": "disabled"}}), ("dashscope", "partial", {"enable_thinking": False}),
    ("vllm", "continue_final_message", {"chat_template_kwargs": {"a": 1, "enable_thinking": False}})])
def test_thinking_is_off_where_the_text_had_begun_and_only_there(gateway, upstream, second_upstream, preset, form, member):
    served = gateway(config_text([openai_backend("a", upstream.port, preset="deepseek"),
                                  openai_backend("b", second_upstream.port, preset=preset)],
                                 [{"model": "*", "targets": [{"backend": "a"}, {"backend": "b", "model": "qwen3-32b"}]}],
                                 defaults=timeouts(2, 0.4)), env={"DEEPSEEK_API_KEY": "sk-1234567", "DASHSCOPE_API_KEY": "sk-1234567"})
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(continuing(ENGLISH, form))
    seamless(stream_chat(served.port, chat_body(stream=True, chat_template_kwargs={"a": 1}, **({"thinking": {"type": "enabled"}} if preset == "deepseek" else {}))), ENGLISH)
    asked = second_upstream.requests[0].json
    assert {name: asked[name] for name in member} == member
    assert "enable_thinking" not in upstream.requests[0].json["chat_template_kwargs"]


def test_a_target_that_says_something_else_is_never_spliced_on(two, upstream, second_upstream):
    served = two("replay")
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(stream(events(pieces("The sky looks blue, as everybody knows, since the sea is blue."))))
    got = stream_chat(served.port)
    assert got.text == ENGLISH[:47] and got.done == 0
    (found,) = got.errors
    assert (found["code"], found["retryable"]) == ("stream_broken", True) and "no other Target" in found["why_not_resumed"]


def test_several_breaks_in_one_answer(gateway, upstream, second_upstream):
    with FakeUpstream() as third:
        backends = [openai_backend(name, fake.port, resume="prefix") for name, fake in (("a", upstream), ("b", second_upstream), ("c", third))]
        served = gateway(config_text(backends, defaults=timeouts(2, 0.4)))
        upstream.script(breaking(MIXED, 30, Reset()))

        def second(request) -> Reply:
            prefix = prefix_of(request, "prefix")
            return begun(events(pieces(MIXED[len(prefix):60]), finish=None, done=False)) + [Reset()]

        second_upstream.script(second)
        third.script(continuing(MIXED, "prefix"))
        got = stream_chat(served.port)
        seamless(got, MIXED)
        assert sum(comment.startswith("spillway ") for comment in got.comments) == 2


def test_the_rest_of_max_tokens_is_asked_for_and_usage_is_consistent(two, upstream, second_upstream):
    served = two("prefix")
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(continuing(ENGLISH, "prefix", usage=True))
    got = stream_chat(served.port, chat_body(stream=True, max_tokens=200, stream_options={"include_usage": True}))
    seamless(got, ENGLISH)
    first_tokens = len(pieces(ENGLISH[:47]))
    said_again = first_tokens - len(pieces(prefix_of(second_upstream.requests[-1], "prefix")))
    assert second_upstream.requests[-1].json["max_tokens"] == 200 - first_tokens + said_again
    (usage,) = got.usages
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("form", ["prefix", "partial", "prefix_field", "continue_final_message", "assistant", "ask", "replay"])
def test_a_limit_of_tokens_holds_over_a_resume_and_is_counted_exactly(gateway, tmp_path, form):
    first = Simulated(tmp_path / "first", {"tokens": 120})
    second = Simulated(tmp_path / "second", {"tokens": 120, "resume": [form] if form not in ("ask", "replay") else []})
    try:
        cuts = {f"cut{at}": at / 120 for at in (20, 33, 47, 58)}
        served = gateway(config_text(
            [openai_backend("a", first.port), openai_backend("b", second.port, resume=form)],
            [{"model": name, "targets": [{"backend": "a", "model": f"fault:reset@{share:.3f}"}, {"backend": "b"}], "retries": 0} for name, share in cuts.items()],
            defaults=timeouts(2, 0.4), breaker={"on": False}))
        limit = {"max_tokens": 60, "stream": True, "stream_options": {"include_usage": True}}
        (whole,) = [stream_chat(second.port, chat_body("Tell me", **limit))]
        assert whole.finish_reasons == ["length"] and whole.usages[0]["completion_tokens"] == 60
        for name in cuts:
            got = stream_chat(served.port, chat_body("Tell me", model=name, **limit))
            assert (got.text, got.finish_reasons, got.errors) == (whole.text, ["length"], []), name
            (usage,) = got.usages
            assert usage["completion_tokens"] == 60, name
    finally:
        first.stop()
        second.stop()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_an_answer_that_has_all_its_tokens_is_finished_at_once(two, upstream, second_upstream, streamed):
    served = two("prefix", aggregate="on")
    upstream.script(breaking(ENGLISH, 47, Reset()))
    tokens = len(pieces(ENGLISH[:47]))
    if streamed:
        got = stream_chat(served.port, chat_body(stream=True, max_tokens=tokens, stream_options={"include_usage": True}))
        assert (got.text, got.finish_reasons, got.done, got.errors) == (ENGLISH[:47], ["length"], 1, [])
        assert got.usages[0]["completion_tokens"] == tokens
    else:
        got = chat(served.port, chat_body(max_tokens=tokens))
        choice = got.json["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (ENGLISH[:47], "length")
        assert got.json["usage"]["completion_tokens"] == tokens
    assert not second_upstream.requests


def test_only_what_has_to_change_changes_in_the_body(two, upstream, second_upstream):
    served = two("partial")
    body = chat_body("你好 \\u0041", stream=True, temperature=0.5, metadata={"b": [1, 2]})
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(continuing(ENGLISH, "partial"))
    seamless(stream_chat(served.port, body), ENGLISH)
    sent = second_upstream.requests[-1].json
    assert sent.pop("messages") == [*body["messages"], {"role": "assistant", "content": sent_prefix(second_upstream), "partial": True}]
    assert sent == {**{key: value for key, value in body.items() if key != "messages"}, "model": "m-b"}


def sent_prefix(fake) -> str:
    return fake.requests[-1].json["messages"][-1]["content"]


def test_a_break_in_reasoning_begins_anew(two, upstream, second_upstream):
    served = two()
    upstream.script(begun([sse(delta({"role": "assistant"})), sse(delta({"reasoning_content": "let me think"}))]) + [Silence()])
    second_upstream.script(continuing(ENGLISH, "continue_final_message"))
    seamless(stream_chat(served.port), ENGLISH)


# --- where it is not sound -------------------------------------------------------------------------------------

CALL = sse(delta({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]}))


@pytest.mark.parametrize("more,first,why", [({"n": 2}, [], "n is not 1"), ({"logprobs": True}, [], "logprobs"), ({}, [CALL], "tool call")])
def test_where_it_is_not_sound_the_error_says_why_at_once(two, upstream, second_upstream, more, first, why):
    served = two(tool_calls="live")
    upstream.script(begun([*events(["Hello "], finish=None, done=False), *first]) + [Reset()])
    got = stream_chat(served.port, chat_body(stream=True, **more))
    (found,) = got.errors
    assert (found["code"], found["retryable"]) == ("stream_broken", True) and why in found["why_not_resumed"]
    assert got.done == 0 and second_upstream.requests == []


# --- tool calls ------------------------------------------------------------------------------------------------

def call(index: int, arguments: str) -> bytes:
    return sse(delta({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}))


def begin(index: int) -> bytes:
    return sse(delta({"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": {"name": "f", "arguments": ""}}]}))


CALLS = [begin(0), call(0, '{"a":'), call(0, "1}"), begin(1), call(1, "{}")]
FINISH = [sse(delta({}, "tool_calls")), sse("[DONE]")]
BOTH = {0: ("c0", '{"a":1}'), 1: ("c1", "{}")}


def calls_of(got) -> dict[int, tuple[str, str]]:
    out: dict[int, list[str]] = {}
    for part in got.chunks:
        for choice in part.get("choices", []):
            for one in choice["delta"].get("tool_calls") or []:
                made = out.setdefault(one["index"], ["", ""])
                made[0] += one.get("id", "")
                made[1] += one["function"].get("arguments", "")
    return {index: (made[0], made[1]) for index, made in out.items()}


def test_tool_calls_are_held_until_the_finish(two, upstream):
    served = two()
    upstream.script(begun([*events(["Let me look. "], finish=None, done=False), *CALLS]) + [Hold("finish"), Send(b"".join(map(chunk, FINISH)) + LAST_CHUNK)])
    with Connection(served.port) as connection:
        reader = open_stream(connection)
        assert "assistant" in reader.next() and "Let me look" in reader.next()
        upstream.release("finish")
        got = reader.rest()
    assert calls_of(got) == BOTH and (got.finish_reasons, got.done) == (["tool_calls"], 1)


@pytest.mark.parametrize("shown", ["", "Let me look it up for you at once. "], ids=["no text", "text"])
@pytest.mark.parametrize("count", [2, 3, 4, 5], ids=["inside a call", "between two", "inside the second", "after the last"])
def test_a_cut_in_tool_calls_is_asked_again_from_the_text_before(two, upstream, second_upstream, shown, count):
    served = two()
    upstream.script(begun([*events(pieces(shown), finish=None, done=False), *CALLS[:count]]) + [Pause(0.03), Reset()])

    def again(request) -> Reply:
        prefix = prefix_of(request, "continue_final_message") or ""
        return stream([*events(pieces(shown[len(prefix):]), finish=None, done=False), *CALLS, *FINISH])
    second_upstream.script(again)
    got = stream_chat(served.port)
    assert got.torn is None and got.errors == [] and got.text == shown
    assert calls_of(got) == BOTH and (got.roles, got.finish_reasons, got.done) == (["assistant"], ["tool_calls"], 1)
    assert len({part["id"] for part in got.chunks}) == 1


def test_live_tool_calls_come_as_they_are_made(two, upstream):
    served = two(tool_calls="live")
    upstream.script(begun([*events([], finish=None, done=False), *CALLS[:3]]) + [Pause(0.03), Reset()])
    got = stream_chat(served.port)
    assert calls_of(got) == {0: BOTH[0]} and [found["code"] for found in got.errors] == ["stream_broken"]


def test_a_schema_is_continued_from_scratch_alone(two, upstream, second_upstream):
    served = two()
    text = json.dumps({"answer": ENGLISH, "sure": True})
    upstream.script(breaking(text, 50, Reset()))
    second_upstream.script(continuing(text, "nothing at all"))
    seamless(stream_chat(served.port, chat_body(stream=True, response_format={"type": "json_schema", "json_schema": {"name": "x"}})), text)
    assert len(second_upstream.requests) == 1


@pytest.mark.parametrize("form,route", [("none", {}), ("auto", {"resume": False})])
def test_the_config_can_switch_it_off(two, upstream, second_upstream, form, route):
    served = two(form, **route)
    upstream.script(breaking(ENGLISH, 47, Reset()))
    got = stream_chat(served.port)
    assert got.text == ENGLISH[:47] and [found["code"] for found in got.errors] == ["stream_broken"]
    assert second_upstream.requests == []


def test_a_client_that_leaves_during_a_resume_ends_it(two, upstream, second_upstream):
    from clock import eventually
    served = two()
    upstream.script(breaking(ENGLISH, 47, Reset()))
    second_upstream.script(Reply((Silence(),)))
    with Connection(served.port) as connection:
        reader = open_stream(connection)
        reader.next()
        second_upstream.wait_for_requests(1)
    eventually("the second upstream is left", lambda: second_upstream.requests[0].left_at, 2)


# --- many, and the real engine ---------------------------------------------------------------------------------

def test_streams_that_break_anywhere_in_any_way_are_all_byte_equal(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port, resume="prefix")], defaults=timeouts(4, 0.5)))
    texts = [ENGLISH, CHINESE, MIXED]
    source, lock = random.Random(3), threading.Lock()

    def first(request) -> Reply:
        text = texts[int(request.json["messages"][0]["content"])]
        with lock:
            breaks, at = source.random() < 0.5, source.randrange(1, len(text))
            how = source.choice([[Reset()], [Close()], [Send(LAST_CHUNK)], [Send(chunk(b"data: <\n\n"))], [Send(b"zz\r\n")]])
        return breaking(text, at, *how) if breaks else stream(events(pieces(text)))

    upstream.script(first)
    second_upstream.script(lambda request: continuing(texts[int(request.json["messages"][0]["content"])], "prefix")(request))
    failures: list[str] = []

    def client(number: int) -> None:
        for turn in range(8):
            which = (number + turn) % len(texts)
            got = stream_chat(served.port, chat_body(str(which), stream=True), timeout=20)
            if (got.text, got.errors, got.done, got.torn) != (texts[which], [], 1, None):
                failures.append(f"{got.text!r} {got.errors} {got.torn}")

    clients = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert failures == []


@pytest.mark.timeout(90)
def test_the_real_engine_finishes_what_a_provider_began(gateway, upstream, model_file):
    served = gateway(config_text([openai_backend("cloud", upstream.port), local_backend(str(model_file))], defaults=timeouts(20, 5)))
    served.wait_until_ready(60)
    begun_text = "The sky looks blue because the air scatters short waves of light much more than long ones. This is called Rayleigh"
    upstream.script(breaking(begun_text, len(begun_text), Reset()))
    got = stream_chat(served.port, chat_body("Why is the sky blue?", stream=True, temperature=0, max_tokens=150), timeout=60)
    assert got.errors == [] and got.done == 1 and got.roles == ["assistant"] and len(got.finish_reasons) == 1
    assert got.text.startswith(begun_text) and len(got.text) > len(begun_text)
    assert not got.text[len(begun_text):].startswith("The sky looks blue")
    assert any('"backend":"local"' in comment for comment in got.comments)
