"""Streams of each Dialect, read as strictly as the strictest client does: what must not happen raises."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat", "responses": "/v1/responses"}


@dataclass
class Read:
    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, dict]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    finish: str | None = None  # stop, length or calls
    error: dict | None = None  # it ended with one
    usage: dict | None = None

    @property
    def whole(self) -> bool:
        return self.finish is not None and self.error is None


def server_sent(body: bytes) -> list[tuple[str | None, str]]:
    """(type, data) of each event; comments left out. The last has to be whole."""
    assert body.endswith(b"\n\n"), body[-200:]
    out = []
    for event in body.decode().split("\n\n")[:-1]:
        lines = [line for line in event.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        assert all(line.startswith(("data: ", "event: ")) for line in lines), lines
        names = [line[7:] for line in lines if line.startswith("event: ")]
        assert len(names) <= 1, event
        out.append((names[0] if names else None, "\n".join(line[6:] for line in lines if line.startswith("data: "))))
    return out


def openai(body: bytes) -> Read:
    read, calls, done = Read(), {}, False
    identity = set()
    roles = 0
    for _, data in server_sent(body):
        assert not done, "something behind [DONE]"
        if data == "[DONE]":
            done = True
            continue
        chunk = json.loads(data)
        assert read.error is None, "something behind an error"
        if "error" in chunk:
            read.error = chunk["error"]
            continue
        assert chunk["object"] == "chat.completion.chunk"
        identity.add((chunk["id"], chunk["model"]))
        if chunk.get("usage"):
            read.usage = chunk["usage"]
        for choice in chunk["choices"]:
            delta = choice["delta"]
            roles += "role" in delta
            assert roles == 1, "the first delta has the role, no other"
            if read.finish:
                assert not any(delta.get(key) for key in ("content", "tool_calls")), "content behind the finish"
            read.text += delta.get("content") or ""
            read.thinking += delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls") or []:
                index = call["index"]
                if index not in calls:
                    assert index == len(calls) and call["id"] and call["type"] == "function" and call["function"]["name"], call
                    calls[index] = [call["function"]["name"], "", call["id"]]
                else:
                    assert "id" not in call or call["id"] == calls[index][2], call
                calls[index][1] += call["function"].get("arguments", "")
            if choice.get("finish_reason"):
                assert read.finish is None, "two finishes"
                read.finish = {"tool_calls": "calls"}.get(choice["finish_reason"], choice["finish_reason"])
    assert done == (read.error is None), "[DONE] ends an answer, an error does not"
    assert len(identity) <= 1, identity
    if read.whole:
        read.calls = [(name, json.loads(text)) for name, text, _ in calls.values()]
        read.ids = [id for *_, id in calls.values()]
    return read


def anthropic(body: bytes) -> Read:
    read, blocks, open_block, stopped = Read(), [], None, False
    started = False
    for name, data in server_sent(body):
        event = json.loads(data)
        type = event["type"]
        assert name == type and not stopped and read.error is None, (name, event)
        if type == "ping":
            continue
        if type == "error":
            read.error = event["error"]
            continue
        assert started != (type == "message_start"), "message_start comes first, and once"
        started = True
        if type == "message_start":
            assert event["message"]["role"] == "assistant" and event["message"]["content"] == []
            read.usage = event["message"]["usage"]
        elif type == "content_block_start":
            assert open_block is None and event["index"] == len(blocks) and read.finish is None, event
            open_block = {**event["content_block"], "json": ""}
            blocks.append(open_block)
        elif type == "content_block_delta":
            assert open_block is not None and event["index"] == len(blocks) - 1, event
            delta = event["delta"]
            kind = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking", "input_json_delta": "tool_use"}[delta["type"]]
            assert open_block["type"] == kind, (open_block, delta)
            if delta["type"] == "input_json_delta":
                open_block["json"] += delta["partial_json"]
            elif delta["type"] != "signature_delta":
                open_block[kind] += delta[kind]
        elif type == "content_block_stop":
            assert open_block is not None and event["index"] == len(blocks) - 1, event
            open_block = None
        elif type == "message_delta":
            assert open_block is None and read.finish is None, event
            read.finish = {"end_turn": "stop", "max_tokens": "length", "tool_use": "calls"}[event["delta"]["stop_reason"]]
            read.usage = {**(read.usage or {}), **event["usage"]}
        elif type == "message_stop":
            assert read.finish is not None, event
            stopped = True
        else:
            raise AssertionError(f"unknown event {type}")
    assert stopped == (read.error is None), "message_stop ends an answer, an error does not"
    read.text = "".join(block["text"] for block in blocks if block["type"] == "text")
    read.thinking = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    if read.whole:
        used = [block for block in blocks if block["type"] == "tool_use"]
        read.calls = [(block["name"], json.loads(block["json"] or "{}")) for block in used]
        read.ids = [block["id"] for block in used]
    return read


def ollama(body: bytes) -> Read:
    read = Read()
    assert body.endswith(b"\n"), body[-200:]
    for text in body.decode().splitlines():
        line = json.loads(text)
        assert read.finish is None and read.error is None, "something behind the last line"
        if "error" in line:
            read.error = {"message": line["error"], "code": "error"}
            continue
        assert line["model"] and line["created_at"] and isinstance(line["done"], bool)
        message = line["message"]
        assert message["role"] == "assistant"
        read.text += message["content"]
        read.thinking += message.get("thinking", "")
        for call in message.get("tool_calls", []):
            assert isinstance(call["function"]["arguments"], dict), call
            read.calls.append((call["function"]["name"], call["function"]["arguments"]))
        if line["done"]:
            read.finish = line["done_reason"] if line["done_reason"] != "stop" or not read.calls else "calls"
            read.usage = {key: line[key] for key in ("prompt_eval_count", "eval_count")}
    assert (read.finish is None) != (read.error is None)
    return read


def responses(body: bytes) -> Read:
    read, number, items, ended = Read(), 0, [], False
    for name, data in server_sent(body):
        event = json.loads(data)
        type = event["type"]
        assert name == type and event["sequence_number"] == number and not ended, event
        number += 1
        if type in ("error", "response.failed"):
            read.error = event.get("error") or event["response"]["error"]
            continue
        assert read.error is None, "something behind an error"
        if type == "response.output_item.added":
            assert event["output_index"] == len(items) and all(item["status"] == "completed" for item in items), event
            items.append(event["item"])
        elif type == "response.output_item.done":
            assert event["output_index"] == len(items) - 1 and event["item"]["id"] == items[-1]["id"], event
            items[-1] = event["item"]
        elif type in ("response.completed", "response.incomplete"):
            ended = True
            answer = event["response"]
            assert answer["output"] == items
            read.usage = answer["usage"]
            read.finish = "length" if type == "response.incomplete" else "stop"
        elif "item_id" in event:
            assert event["item_id"] == items[-1]["id"] and event["output_index"] == len(items) - 1, event
            if type == "response.output_text.delta":
                read.text += event["delta"]
            elif type == "response.reasoning_text.delta":
                read.thinking += event["delta"]
    assert ended == (read.error is None)
    if read.whole:
        whole = "".join(part["text"] for item in items if item["type"] == "message" for part in item["content"])
        assert read.text.encode("utf-16", "surrogatepass") == whole.encode("utf-16", "surrogatepass")
        used = [item for item in items if item["type"] == "function_call"]
        read.calls = [(item["name"], json.loads(item["arguments"])) for item in used]
        read.ids = [item["call_id"] for item in used]
        if used and read.finish == "stop":
            read.finish = "calls"
    return read


READERS = {"openai": openai, "anthropic": anthropic, "ollama": ollama, "responses": responses}


def read_stream(kind: str, body: bytes) -> Read:
    read = READERS[kind](body)
    # A character outside the basic plane may come in two halves, each in an event of its own.
    read.text = read.text.encode("utf-16", "surrogatepass").decode("utf-16")
    return read


def request_of(kind: str, prompt: str = "Say hello", **more) -> dict:
    """A streamed question of `kind`, with two tools."""
    tools = ["get_weather", "get_time"]
    schema = {"type": "object", "properties": {}}
    if kind == "responses":
        return {"model": "test", "input": prompt, "stream": True, "store": False,
                "tools": [{"type": "function", "name": name, "parameters": schema} for name in tools], **more}
    body = {"model": "test", "messages": [{"role": "user", "content": prompt}], "stream": True, **more}
    if kind == "anthropic":
        return {"max_tokens": 500, "tools": [{"name": name, "input_schema": schema} for name in tools], **body}
    return {"tools": [{"type": "function", "function": {"name": name, "parameters": schema}} for name in tools], **body}
