"""What no request may hold: a 400 in the client's own Dialect, and nothing forwarded, whatever the Backend speaks."""

from __future__ import annotations

import json

import pytest

from http_client import call
from sdks import SCHEMA
from speakers import KINDS

pytestmark = pytest.mark.sanitized

USER = [{"role": "user", "content": "Hi"}]
TOOLS = {"openai": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
         "anthropic": [{"name": "f", "input_schema": {"type": "object"}}]}

# A good request for each endpoint, with as many members as it has.
REQUESTS = {
    "/v1/chat/completions": {"model": "test", "messages": USER, "temperature": 0.5, "top_p": 1, "max_tokens": 5,
                             "stop": ["x"], "tools": TOOLS["openai"], "tool_choice": "auto", "parallel_tool_calls": True,
                             "response_format": {"type": "text"}, "presence_penalty": 0, "frequency_penalty": 0,
                             "user": "u", "stream": False, "stream_options": {"include_usage": True}},
    "/v1/completions": {"model": "test", "prompt": "x", "max_tokens": 5, "temperature": 0, "stop": "x", "user": "u"},
    "/v1/responses": {"model": "test", "input": "x", "instructions": "y", "max_output_tokens": 5, "temperature": 0,
                      "reasoning": {"effort": "low"}, "parallel_tool_calls": True, "store": False, "user": "u"},
    "/v1/messages": {"model": "test", "max_tokens": 5, "messages": USER, "system": "s", "temperature": 0.5, "top_k": 5,
                     "stop_sequences": ["x"], "tools": TOOLS["anthropic"], "metadata": {"user_id": "u"},
                     "thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
    "/api/chat": {"model": "test", "messages": USER, "format": SCHEMA, "options": {"temperature": 0.5, "num_predict": 5},
                  "tools": TOOLS["openai"], "think": False, "stream": False},
    "/api/generate": {"model": "test", "prompt": "x", "system": "s", "options": {"seed": 1}, "stream": False},
}
TYPES = {"a string": "text", "a number": 5, "a flag": True, "a list": [{"a": 1}], "an object": {"a": 1}}


def fits(value, other) -> bool:
    """Whether `other` might stand where `value` does: of the same type, or in one of the two forms that some have."""
    number = (int, float)
    if isinstance(value, bool) or isinstance(other, bool):
        return isinstance(value, bool) and isinstance(other, bool)
    return type(value) is type(other) or (isinstance(value, number) and isinstance(other, number))


EITHER = {("stop", "a string"), ("stop", "a list"), ("tool_choice", "an object"), ("system", "a list"),
          ("prompt", "a list"), ("input", "a list"), ("think", "a string"), ("format", "a string"), ("stop_sequences", "a string")}


@pytest.fixture(params=KINDS)
def server(request, servers):
    return servers[request.param]


def assert_refused(server, path: str, body: bytes) -> None:
    served, upstream = server
    upstream.requests.clear()
    answer = call(served.port, "POST", path, body)
    assert answer.status == 400, (body[:300], answer.body[:300])
    told = answer.json
    if path.startswith("/v1/messages"):
        assert told["type"] == "error" and told["error"]["type"] == "invalid_request_error"
        assert len(told["error"]["message"]) > 10
    elif path.startswith("/api/"):
        assert set(told) == {"error"} and len(told["error"]) > 10
    else:
        assert set(told["error"]) == {"message", "type", "param", "code"}
        assert told["error"]["code"] == "invalid_request"
    assert not upstream.requests


@pytest.mark.parametrize("path", REQUESTS)
def test_a_wrong_type_in_any_field(server, path):
    for name, value in REQUESTS[path].items():
        for word, wrong in TYPES.items():
            if fits(value, wrong) or (name, word) in EITHER:
                continue
            assert_refused(server, path, json.dumps({**REQUESTS[path], name: wrong}).encode())


@pytest.mark.parametrize("path", REQUESTS)
def test_what_is_no_json(server, path):
    good = json.dumps(REQUESTS[path]).encode()
    for body in (b"", b"[]", b"null", good[:-1], good + b"}", b"\xef\xbb\xbf" + good, good.replace(b"test", b"te\xffst"),
                 good.replace(b'"x"', b'"\\ud83d"').replace(b'"Hi"', b'"\\ud83d"'),
                 good.replace(b'{"model"', b'{"model":"a","model"'),
                 good[:-1] + b',"z":' + b"[" * 500 + b"]" * 500 + b"}",
                 good[:-1] + b',"z":{"y":1,"y":2}}'):
        assert_refused(server, path, body)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_messages_of_wrong_types(server, path):
    for messages in ([5], [[]], [None], [{"role": 5, "content": "x"}], [{"role": "user", "content": 5}], {"a": 1}, "x"):
        assert_refused(server, path, json.dumps({**REQUESTS[path], "messages": messages}).encode())
