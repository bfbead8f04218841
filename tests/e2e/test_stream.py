"""Streams: any cut of the bytes, any line end, any size; and what breaks in the middle is told."""

from __future__ import annotations

import json
import random
import time

import pytest

from clock import eventually, slow, stays
from gateway import config_text, duration, openai_backend, timeouts
from http_client import Connection, chat_body, open_stream, stream_chat
from processes import resident_bytes
from replies import (Close, Hold, Pause, Repeat, Reply, Reset, Send, Silence, begun, chunk, cut_at, delta, dribble, events,
                     frame_chunked, head, paced, SSE_HEADERS, sse, stream, usage_event)

pytestmark = pytest.mark.sanitized
WORDS = ["Guten ", "Morgen, ", "早上好 ", "🦀 ", "data: x\\n", " ende"]
TEXT = "".join(WORDS)


def whole(got) -> None:
    """Every property of a good stream at once."""
    assert got.torn is None
    assert (got.text, got.roles, got.finish_reasons, got.done) == (TEXT, ["assistant"], ["stop"], 1)
    assert got.payloads[-1] == "[DONE]" and got.errors == []


def test_byte_by_byte_on_the_wire(served, upstream):
    upstream.script(dribble(b"".join(frame_chunked(events(WORDS)))))
    whole(stream_chat(served.port))


def test_each_byte_of_the_body_in_a_chunk_of_its_own(served, upstream):
    body = b"".join(events(WORDS))
    upstream.script(paced(frame_chunked([body[at:at + 1] for at in range(len(body))]), 0))
    whole(stream_chat(served.port))


@pytest.mark.parametrize("seed", range(8))
def test_chunk_boundaries_anywhere(served, upstream, seed):
    dice = random.Random(seed)
    newline = dice.choice(["\n", "\r\n", "\r"])
    body = b"".join(events(WORDS, newline=newline, usage=True))
    chunks = cut_at(body, [dice.randrange(len(body)) for _ in range(dice.randrange(1, 60))])
    wire = b"".join(frame_chunked(chunks))
    upstream.script(Reply(tuple(step for piece in cut_at(wire, [dice.randrange(len(wire)) for _ in range(40)])
                                for step in (Send(piece), Pause(0.001)))))
    whole(stream_chat(served.port))


@pytest.mark.parametrize("cut_after", ["🦀".encode()[:2], b"da", b"data:", b"data: {", b'"content": "Guten ', b"[DO", b"}\r",
                                       b"}\r\n", b"}\r\n\r"], ids=repr)
def test_a_cut_at_a_chosen_place(served, upstream, cut_after):
    body = b"".join(events(WORDS, newline="\r\n"))
    head_bytes, *rest = frame_chunked(cut_at(body, [body.index(cut_after) + len(cut_after)]))
    upstream.script(paced([head_bytes, *rest], 0.02))
    whole(stream_chat(served.port))


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_every_line_end_in_every_framing(served, upstream, newline, framing):
    upstream.script(stream(events(WORDS, newline=newline), framing=framing))
    whole(stream_chat(served.port))


def test_multi_line_data_and_other_fields_are_one_event(served, upstream):
    pretty = json.dumps(delta({"content": TEXT}), indent=1, ensure_ascii=False)
    odd = (b"\xef\xbb\xbf: a byte order mark before the first line\n\nid: 7\nevent: message\nretry: 10\nunknown: x\nnocolon\n"
           + sse(pretty) + b"data:" + json.dumps(delta({}, "stop")).encode() + b"\n\n" + sse("[DONE]"))
    upstream.script(stream([odd]))
    whole(stream_chat(served.port))


def test_comments_and_blank_lines_between_events_do_no_harm(served, upstream):
    parts = []
    for event in events(WORDS):
        parts += [b": keep-alive\n\n", b"\n\n", b":\n", event]
    upstream.script(stream(parts))
    whole(stream_chat(served.port))


def test_an_event_of_one_mebibyte_passes(served, upstream):
    big = "x0123456789abcde" * 65536
    upstream.script(stream(events(["a", big, big, "z"])))
    got = stream_chat(served.port)
    assert got.text == "a" + big + big + "z" and got.done == 1


def test_an_event_of_one_mebibyte_in_small_pieces_passes(served, upstream):
    big = "早" * 350_000
    wire = b"".join(frame_chunked(events([big])))
    upstream.script(dribble(wire, 1999))
    assert stream_chat(served.port).text == big


def test_unknown_fields_and_tool_calls_in_deltas_survive(served, upstream):
    call = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    parts = [sse(delta({"role": "assistant", "content": None})), sse(delta(call, x_more={"a": 1})),
             sse(delta({"reasoning_content": "hm"})), sse(delta({}, "tool_calls")), sse("[DONE]")]
    upstream.script(stream(parts))
    got = stream_chat(served.port)
    assert got.chunks[1]["choices"][0]["delta"]["tool_calls"] == call["tool_calls"]
    assert got.chunks[1]["x_more"] == {"a": 1}
    assert got.chunks[2]["choices"][0]["delta"]["reasoning_content"] == "hm"
    assert got.finish_reasons == ["tool_calls"] and got.done == 1


def test_a_usage_event_with_empty_choices_passes(served, upstream):
    upstream.script(stream(events(WORDS, usage=True)))
    got = stream_chat(served.port, chat_body(stream=True, stream_options={"include_usage": True}))
    whole(got)
    assert got.usages == [usage_event()["usage"]]
    assert [chunk["choices"] for chunk in got.chunks if chunk.get("usage")] == [[]]


def test_a_finish_reason_without_done_gets_done(served, upstream):
    for framing in ("chunked", "close"):
        upstream.script(stream(events(WORDS, done=False), framing=framing))
        whole(stream_chat(served.port))


def test_done_without_finish_reason_gets_one(served, upstream):
    upstream.script(stream(events(WORDS, finish=None)))
    whole(stream_chat(served.port))


def test_a_missing_role_delta_is_added(served, upstream):
    upstream.script(stream(events(WORDS, role=False)))
    got = stream_chat(served.port)
    whole(got)
    assert got.chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_a_role_in_every_delta_and_in_the_first_content_delta_are_whole_too(served, upstream):
    upstream.script(stream([sse(delta({"role": "assistant", "content": TEXT})), *events([], role=False)]))
    whole(stream_chat(served.port))


def test_the_first_token_is_not_held_back_for_the_second(served, upstream):
    upstream.script(begun(events(["first"], finish=None, done=False))
                    + [Hold(), Send(b"".join(map(chunk, events(["second"], role=False)))), Send(b"0\r\n\r\n")])
    with Connection(served.port) as connection:
        reader = open_stream(connection)
        for payload in reader:
            if "first" in payload:
                break
        upstream.release()
        assert reader.rest().text == "firstsecond"


BREAKS = {"reset": [Reset()], "clean end without last chunk": [Close()], "end of body": [Send(b"0\r\n\r\n")],
          "stall": [Silence()], "comments only": [Repeat(chunk(b": keep-alive\n\n"), 0.02)],
          "error event": [Send(chunk(sse({"error": {"message": "overloaded", "type": "server_error", "code": 503}}))), Silence()],
          "garbage chunk": [Send(b"zz\r\n\r\n"), Silence()], "not JSON": [Send(chunk(b"data: {\"choices\": [\n\n")), Silence()]}


@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS.keys())
def test_a_stream_broken_after_the_first_token_ends_in_an_error_without_done(gateway, upstream, ending):
    served = gateway(config_text([openai_backend("a", upstream.port)], defaults=timeouts(5, 1)))
    upstream.script(begun(events(["Once ", "upon "], finish=None, done=False)) + [Hold(), *ending])
    with Connection(served.port) as connection:
        reader = open_stream(connection)
        while "upon" not in reader.next():
            pass
        upstream.release()
        got = reader.rest()
        assert connection.received_at - got.times[-2] < slow(3)
    assert got.text == "Once upon " and got.done == 0 and got.torn is None
    assert [error["code"] for error in got.errors] == ["stream_broken"]
    assert got.errors[0]["message"] and got.errors[0]["type"] and "a" in got.errors[0]["message"]
    assert "error" in json.loads(got.payloads[-1]), "the error is the last event"


def test_a_client_that_leaves_mid_stream_closes_the_upstream_within_100_ms(served, upstream):
    upstream.script(begun(events(["tick"], finish=None, done=False))
                    + [Repeat(chunk(sse(delta({"content": "tick "}))), 0.005)])
    for count in range(1, 4):
        with Connection(served.port) as connection:
            reader = open_stream(connection)
            reader.next()
        left = time.monotonic()
        request = upstream.wait_for_requests(count)[-1]
        eventually("the upstream connection is closed", lambda: request.left_at, 3, every=0.001)
        assert request.left_at - left < slow(0.1)


@pytest.mark.parametrize("body", [chat_body(stream=True), chat_body()], ids=["stream", "whole"])
def test_a_client_that_leaves_before_the_first_token_closes_the_upstream_within_100_ms(served, upstream, body):
    upstream.script(Reply((Silence(),)))
    with Connection(served.port) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body).encode())
        request = upstream.wait_for_requests()[0]
    left = time.monotonic()
    eventually("the upstream connection is closed", lambda: request.left_at, 3, every=0.001)
    assert request.left_at - left < slow(0.1)


@pytest.mark.timeout(60)
def test_a_slow_reader_stops_the_upstream_and_memory_stays_bounded(gateway, upstream):
    event = chunk(sse(delta({"content": "x" * 65_536})))
    times = int(200_000_000 / slow(1) / len(event))
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    upstream.script(begun(events([], finish=None, done=False))
                    + [Repeat(event, times=times), Send(b"".join(map(chunk, events([], role=False))) + b"0\r\n\r\n")])
    before = resident_bytes(served.pid)
    with Connection(served.port, timeout=20) as connection:
        reader = open_stream(connection)
        request = upstream.wait_for_requests()[0]
        eventually("the upstream is stopped", lambda: not request.connection.writable.is_set())
        seen = []
        eventually("the upstream stays stopped", lambda: seen.append(request.bytes_sent) or
                   (len(seen) > 10 and len(set(seen[-10:])) == 1), 5, every=0.05)
        stopped_at = request.bytes_sent
        assert stopped_at < 40_000_000, "sent into socket buffers and the gateway"
        stays("nothing moves", lambda: request.bytes_sent == stopped_at, 0.5)
        assert resident_bytes(served.pid) - before < 24_000_000 * slow(1)
        size = sum(len(payload) for payload in reader)
        assert size > times * 65_536 and reader.streamed.done == 1
    assert request.answered
    assert resident_bytes(served.pid) - before < 48_000_000 * slow(1)


def test_a_stream_whose_events_never_end_is_given_up(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_event": "1MiB"}, defaults=timeouts(5, 5)))
    upstream.script(begun(events(["a"], finish=None, done=False)) + [Repeat(chunk(b"data: " + b"x" * 65_536))])
    got = stream_chat(served.port)
    assert [error["code"] for error in got.errors] == ["stream_broken"] and got.done == 0
    eventually("the upstream is left", lambda: upstream.requests[0].left_at)


def test_headers_that_never_end_are_given_up(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 defaults={"first_token_timeout": duration(5)}))
    upstream.script(Reply((Send(head(200, SSE_HEADERS)[:-2]), Repeat(b"X-Pad: " + b"y" * 4096 + b"\r\n"))))
    got = stream_chat(served.port)
    assert got.text == "Hello there" and got.answer.header("x-spillway-backend") == "b"
    eventually("the first upstream is left", lambda: upstream.requests[0].left_at)
