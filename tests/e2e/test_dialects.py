"""Every client, every Backend: the three official Python SDKs against Backends of each Dialect."""

from __future__ import annotations

import json

import pytest

from http_client import call
from replies import Close
from sdks import HELLO, SCHEMA, SDKS
from speakers import CALLS, KINDS, PATHS, begins, calls, is_streamed, refuses, says, thinks

pytestmark = pytest.mark.sanitized


@pytest.fixture(params=[(client, backend) for client in KINDS for backend in KINDS],
                ids=lambda pair: f"{pair[0]}-to-{pair[1]}")
def pair(request, servers):
    """(SDK, upstream): a client of one kind before a Backend of another."""
    client, backend = request.param
    gateway, upstream = servers[backend]
    upstream.requests.clear()
    return SDKS[client](gateway.port), upstream, backend


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_text_its_finish_and_its_usage(pair, streamed):
    sdk, upstream, kind = pair
    upstream.script(says(kind, ["Hel", "lo \"you\"", "\n", "\U0001f600"]))
    said = sdk.ask(HELLO, streamed)
    assert said.text == 'Hello "you"\n\U0001f600'
    assert said.finish == sdk.finishes["stop"]
    assert said.usage == (3, 2)
    assert upstream.requests[-1].target == PATHS[kind]
    assert upstream.requests[-1].json["messages"][-1]["role"] == "user"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_parallel_tool_calls(pair, streamed):
    sdk, upstream, kind = pair
    upstream.script(calls(kind))
    said = sdk.ask(HELLO, streamed, tools=True)
    assert said.calls == [(name, arguments) for name, arguments in CALLS]
    assert said.finish == sdk.finishes["calls"]
    assert len(set(said.call_ids)) == len(said.call_ids)
    tool = upstream.requests[-1].json["tools"][0]
    tool = tool.get("function", tool)
    assert tool["name"] == "get_weather" and tool["description"] == 'Weather at a "place"'
    assert (tool.get("parameters") or tool["input_schema"])["required"] == ["city"]


def test_reasoning_is_told_apart(pair):
    sdk, upstream, kind = pair
    upstream.script(thinks(kind))
    said = sdk.ask(HELLO, True)
    assert (said.thinking, said.text) == ("Let me see", "Hello")


CLASSES = [400, 401, 404, 429]


@pytest.mark.parametrize("status", CLASSES)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_failure_is_the_sdks_own_exception(pair, status, streamed):
    sdk, upstream, kind = pair
    upstream.script(refuses(kind, status))
    # A Backend's wrong key or address is the operator's affair, not the client's.
    told = {400: 400, 429: 429}.get(status, 502)
    with pytest.raises(sdk.errors()[told]) as raised:
        sdk.ask(HELLO, streamed)
    assert raised.value.status_code == told
    assert "mind your temperature" in str(raised.value)


def test_a_broken_stream_is_the_sdks_exception(pair):
    sdk, upstream, kind = pair
    upstream.script(begins(kind, ["Hel", "lo"]) + [Close()], refuses(kind, 503))
    with pytest.raises(Exception) as raised:
        sdk.ask(HELLO, True)
    assert "cut in the middle" in str(raised.value)


HISTORY = {
    "openai": [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Oslo\"}"}},
            {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "sun"}]},
        {"role": "user", "content": [{"type": "text", "text": "And this?"},
                                     {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}],
    "anthropic": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I look"},
            {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "call_2", "name": "get_weather", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "sun"}]},
            {"type": "text", "text": "And this?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]}],
    "ollama": [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look", "tool_calls": [
            {"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}},
            {"function": {"name": "get_weather", "arguments": {}}}]},
        {"role": "tool", "content": "rain", "tool_name": "get_weather"},
        {"role": "tool", "content": "sun", "tool_name": "get_weather"},
        {"role": "user", "content": "And this?", "images": ["iVBORw0KGgo="]}],
}


def plain(kind: str, body: dict) -> list[tuple]:
    """What a request says, in words of no Dialect."""
    out = []
    if kind == "anthropic" and body.get("system"):
        system = body["system"]
        out.append(("system", system if isinstance(system, str) else system[0]["text"]))
    for message in body["messages"]:
        role, content = message["role"], message.get("content") or ""
        if role == "tool":
            text = content if isinstance(content, str) else content[0]["text"]
            out.append(("result", text))
            continue
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            if block["type"] == "text" and block["text"]:
                out.append((role, block["text"]))
            elif block["type"] in ("image", "image_url"):
                out.append(("image", json.dumps(block)[-60:].count("iVBORw0KGgo=")))
            elif block["type"] == "tool_use":
                out.append(("call", block["name"], block["input"]))
            elif block["type"] == "tool_result":
                inner = block["content"]
                out.append(("result", inner if isinstance(inner, str) else inner[0]["text"]))
        for image in message.get("images") or []:
            out.append(("image", image.count("iVBORw0KGgo=")))
        for one in message.get("tool_calls") or []:
            arguments = one["function"]["arguments"]
            out.append(("call", one["function"]["name"], json.loads(arguments or "{}") if kind == "openai" else arguments))
    return out


def test_a_conversation_with_tools_and_an_image_arrives(pair):
    sdk, upstream, kind = pair
    upstream.script(says(kind))
    more = {"system": "Be brief"} if sdk.kind == "anthropic" else {}
    sdk.ask(HISTORY[sdk.kind], False, tools=True, **more)
    assert plain(kind, upstream.requests[-1].json) == [
        ("system", "Be brief"), ("user", "Weather?"), ("assistant", "I look"),
        ("call", "get_weather", {"city": "Oslo"}), ("call", "get_weather", {}), ("result", "rain"), ("result", "sun"),
        ("user", "And this?"), ("image", 1)]


LIMITS = {
    "openai": {"max_tokens": 50, "temperature": 0.5, "top_p": 0.9, "stop": ["END", "\n\n"]},
    "anthropic": {"max_tokens": 50, "stop_sequences": ["END", "\n\n"], "temperature": 0.5, "top_p": 0.9},
    "ollama": {"options": {"num_predict": 50, "temperature": 0.5, "top_p": 0.9, "stop": ["END", "\n\n"]}},
}


def test_limits_arrive(pair):
    sdk, upstream, kind = pair
    upstream.script(says(kind))
    asked = dict(LIMITS[sdk.kind])
    if sdk.kind == "anthropic":  # newer models have none of these, so the SDK has no names for them
        asked["extra_body"] = {name: asked.pop(name) for name in ("temperature", "top_p")}
    sdk.ask(HELLO, False, **asked)
    body = upstream.requests[-1].json
    for name, value in LIMITS[kind].items():
        if name == "options":
            assert value.items() <= body["options"].items()
        else:
            assert body[name] == value


ASKED_SCHEMA = {
    "openai": {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}},
    "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "ollama": {"format": SCHEMA},
}


def test_a_schema_arrives(pair):
    sdk, upstream, kind = pair
    upstream.script(says(kind, ['{"answer":', " 42}"]))
    said = sdk.ask(HELLO, False, **ASKED_SCHEMA[sdk.kind])
    assert json.loads(said.text) == {"answer": 42}
    body = upstream.requests[-1].json
    found = {"openai": lambda: body["response_format"]["json_schema"]["schema"],
             "anthropic": lambda: body["output_config"]["format"]["schema"], "ollama": lambda: body["format"]}[kind]()
    assert found == SCHEMA
    assert list(found) == list(SCHEMA), "the order of its members"
