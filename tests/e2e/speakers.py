"""The same answer in the words of each Dialect, for scripted upstreams: whole or streamed, as the request asks."""

from __future__ import annotations

import json
from typing import Callable, Sequence

from fake_upstream import Request
from replies import Reply, begun, delta, completion, error_body, events, paced, sse, stream, usage_event, whole
from replies import SSE_HEADERS, chunk, frame_chunked, head

KINDS = ("openai", "anthropic", "ollama")
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}


def event(type: str, **more) -> bytes:
    """One event of Anthropic's stream."""
    return f"event: {type}\ndata: {json.dumps({'type': type, **more}, ensure_ascii=False)}\n\n".encode()


def message(content: list[dict], stop: str = "end_turn", **more) -> dict:
    return {"id": "msg_fake", "type": "message", "role": "assistant", "model": "fake-model", "content": content,
            "stop_reason": stop, "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 2}, **more}


def block_events(index: int, start: dict, deltas: Sequence[dict]) -> list[bytes]:
    return [event("content_block_start", index=index, content_block=start),
            *(event("content_block_delta", index=index, delta=one) for one in deltas),
            event("content_block_stop", index=index)]


def message_start() -> bytes:
    return event("message_start", message={**message([]), "stop_reason": None,
                                           "usage": {"input_tokens": 3, "output_tokens": 1}})


def message_end(stop: str = "end_turn") -> list[bytes]:
    return [event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 2}),
            event("message_stop")]


def text_block(words: Sequence[str], index: int = 0) -> list[bytes]:
    return block_events(index, {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in words])


def line(message: dict | None = None, **more) -> bytes:
    """One line of Ollama's stream."""
    body = {"model": "fake-model", "created_at": "2026-11-24T10:00:00.000000Z"}
    if message is not None:
        body["message"] = {"role": "assistant", "content": "", **message}
    return (json.dumps({**body, "done": False, **more}, ensure_ascii=False) + "\n").encode()


STATISTICS = {"total_duration": 5000000, "load_duration": 1000000, "prompt_eval_count": 3,
              "prompt_eval_duration": 1000000, "eval_count": 2, "eval_duration": 3000000}


def last_line(reason: str = "stop", message: dict | None = None) -> bytes:
    return line(message or {}, done=True, done_reason=reason, **STATISTICS)


def ndjson(lines: Sequence[bytes]) -> Reply:
    headers = [("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")]
    return paced([head(200, headers), *map(chunk, lines), b"0\r\n\r\n"], 0)


def begun_ndjson(lines: Sequence[bytes]) -> Reply:
    headers = [("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")]
    return paced([head(200, headers), *map(chunk, lines)], 0)


Speaker = Callable[[Request], Reply]


def is_streamed(kind: str, request: Request) -> bool:
    return request.json.get("stream", kind == "ollama")


def says(kind: str, words: Sequence[str] = ("Hello", " there")) -> Speaker:
    """Answers with a text."""
    def reply(request: Request) -> Reply:
        streamed = is_streamed(kind, request)
        if kind == "openai":
            return stream(events(words, usage=True)) if streamed else whole(200, completion("".join(words)))
        if kind == "anthropic":
            if streamed:
                return stream([message_start(), *text_block(words), *message_end()])
            return whole(200, message([{"type": "text", "text": "".join(words)}]))
        if streamed:
            return ndjson([*(line({"content": word}) for word in words), last_line()])
        return whole(200, json.loads(last_line(message={"content": "".join(words)})))
    return reply


def thinks(kind: str) -> Speaker:
    """Answers with reasoning, then a text; streamed."""
    def reply(request: Request) -> Reply:
        if kind == "openai":
            return stream([sse(delta({"role": "assistant", "content": None, "reasoning_content": "Let me see"})),
                           sse(delta({"content": "Hello"})), sse(delta({}, "stop")), sse("[DONE]")])
        if kind == "anthropic":
            thinking = block_events(0, {"type": "thinking", "thinking": "", "signature": ""},
                                    [{"type": "thinking_delta", "thinking": "Let me see"},
                                     {"type": "signature_delta", "signature": "c2ln"}])
            return stream([message_start(), *thinking, *text_block(["Hello"], 1), *message_end()])
        return ndjson([line({"thinking": "Let me see"}), line({"content": "Hello"}), last_line()])
    return reply


CALLS = (("get_weather", {"city": "Paris \"west\""}), ("get_time", {"zone": 1}))


def calls(kind: str) -> Speaker:
    """Answers with two calls of tools."""
    def reply(request: Request) -> Reply:
        streamed = is_streamed(kind, request)
        if kind == "openai":
            listed = [{"id": f"call_{i}", "type": "function",
                       "function": {"name": name, "arguments": json.dumps(arguments)}}
                      for i, (name, arguments) in enumerate(CALLS)]
            if not streamed:
                body = completion("")
                body["choices"][0] = {"index": 0, "finish_reason": "tool_calls",
                                      "message": {"role": "assistant", "content": None, "tool_calls": listed}}
                return whole(200, body)
            parts = [sse(delta({"role": "assistant", "content": None}))]
            for i, call in enumerate(listed):
                text = call["function"]["arguments"]
                first = {**call, "index": i, "function": {**call["function"], "arguments": ""}}
                parts.append(sse(delta({"tool_calls": [first]})))
                parts += [sse(delta({"tool_calls": [{"index": i, "function": {"arguments": piece}}]}))
                          for piece in (text[:4], text[4:])]
            return stream([*parts, sse(delta({}, "tool_calls")), sse(usage_event()), sse("[DONE]")])
        if kind == "anthropic":
            blocks = [{"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": arguments}
                      for i, (name, arguments) in enumerate(CALLS)]
            if not streamed:
                return whole(200, message(blocks, "tool_use"))
            parts = [message_start()]
            for i, block in enumerate(blocks):
                text = json.dumps(block["input"])
                parts += block_events(i, {**block, "input": {}},
                                      [{"type": "input_json_delta", "partial_json": piece}
                                       for piece in ("", text[:4], text[4:])])
            return stream([*parts, *message_end("tool_use")])
        listed = [{"function": {"name": name, "arguments": arguments}} for name, arguments in CALLS]
        if not streamed:
            return whole(200, json.loads(last_line(message={"tool_calls": listed})))
        return ndjson([*(line({"tool_calls": [one]}) for one in listed), last_line()])
    return reply


def begins(kind: str, words: Sequence[str]) -> Reply:
    """A stream that has begun; add the way in which it breaks."""
    if kind == "openai":
        return begun(events(words, finish=None, done=False))
    if kind == "anthropic":
        return begun([message_start(), *text_block(words)[:-1]])
    return begun_ndjson([line({"content": word}) for word in words])


def refuses(kind: str, status: int, text: str = "mind your temperature", type: str = "invalid_request_error") -> Reply:
    if kind == "openai":
        return whole(status, error_body(text, type, "bad_value"))
    if kind == "anthropic":
        return whole(status, {"type": "error", "error": {"type": type, "message": text}, "request_id": "req_1"})
    return whole(status, {"error": text})


def parts_of(kind: str, words: Sequence[str], with_calls: bool = True, thoughts: Sequence[str] = ()) -> list[bytes]:
    """The events of a whole stream: reasoning, a text, two calls of tools."""
    if kind == "openai":
        parts = [sse(delta({"role": "assistant", "content": ""}))]
        parts += [sse(delta({"reasoning_content": thought})) for thought in thoughts]
        parts += [sse(delta({"content": word})) for word in words]
        for i, (name, arguments) in enumerate(CALLS if with_calls else ()):
            text = json.dumps(arguments)
            parts.append(sse(delta({"tool_calls": [{"index": i, "id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": ""}}]})))
            parts += [sse(delta({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})) for piece in (text[:4], text[4:])]
        return [*parts, sse(delta({}, "tool_calls" if with_calls else "stop")), sse(usage_event()), sse("[DONE]")]
    if kind == "anthropic":
        parts = [message_start()]
        blocks = 0
        if thoughts:
            parts += block_events(0, {"type": "thinking", "thinking": "", "signature": ""},
                                  [*({"type": "thinking_delta", "thinking": thought} for thought in thoughts), {"type": "signature_delta", "signature": "c2ln"}])
            blocks = 1
        if words:
            parts += text_block(words, blocks)
            blocks += 1
        for i, (name, arguments) in enumerate(CALLS if with_calls else ()):
            text = json.dumps(arguments)
            parts += block_events(blocks + i, {"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": {}},
                                  [{"type": "input_json_delta", "partial_json": piece} for piece in ("", text[:4], text[4:])])
        return [*parts, *message_end("tool_use" if with_calls else "end_turn")]
    lines = [line({"thinking": thought}) for thought in thoughts] + [line({"content": word}) for word in words]
    if with_calls:
        lines += [line({"tool_calls": [{"function": {"name": name, "arguments": arguments}}]}) for name, arguments in CALLS]
    return [*lines, last_line()]


def as_stream(kind: str, parts: Sequence[bytes]) -> Reply:
    return ndjson(parts) if kind == "ollama" else stream(list(parts))


def as_begun(kind: str, parts: Sequence[bytes]) -> Reply:
    return begun_ndjson(parts) if kind == "ollama" else begun(list(parts))
