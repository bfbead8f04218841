"""What is no proper chat request is a 400 in the OpenAI shape, and no Backend hears of it."""

from __future__ import annotations

import pytest

from gateway import config_text, openai_backend
from http_client import chat

MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'

BAD: dict[str, bytes] = {
    "empty body": b"",
    "blanks": b"  \r\n",
    "not JSON": b"model=test",
    "an array": b"[]",
    "a string": b'"test"',
    "null": b"null",
    "an open object": b'{"model":"test",' + MESSAGES,
    "an open string": b'{"model":"test","messages":[{"role":"user","content":"hi}]}',
    "single quotes": b"{'model':'test'}",
    "a trailing comma": b'{"model":"test",' + MESSAGES + b",}",
    "a comment": b'{"model":"test",/* x */' + MESSAGES + b"}",
    "trailing garbage": b'{"model":"test",' + MESSAGES + b"} x",
    "two documents": b'{"model":"test",' + MESSAGES + b'}{"model":"b"}',
    "a byte order mark": b'\xef\xbb\xbf{"model":"test",' + MESSAGES + b"}",
    "NUL after the end": b'{"model":"test",' + MESSAGES + b"}\0",
    "a raw control character": b'{"model":"test","messages":[{"role":"user","content":"a\nb"}]}',
    "a bad escape": b'{"model":"test","messages":[{"role":"user","content":"\\x"}]}',
    "a bad escape in an unknown field": b'{"model":"test",' + MESSAGES + b',"x":"\\q"}',
    "a bad number in an unknown field": b'{"model":"test",' + MESSAGES + b',"x":01}',
    "NaN": b'{"model":"test",' + MESSAGES + b',"x":NaN}',
    "a bad literal deep inside": b'{"model":"test",' + MESSAGES + b',"x":[{"y":[tru]}]}',
    "invalid UTF-8": b'{"model":"test","messages":[{"role":"user","content":"\xff\xfe"}]}',
    "overlong UTF-8": b'{"model":"test","messages":[{"role":"user","content":"\xc0\xaf"}]}',
    "UTF-8 cut short": b'{"model":"test","messages":[{"role":"user","content":"\xe6\x97"}]}',
    "a surrogate in UTF-8": b'{"model":"test","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
    "a lone high surrogate": b'{"model":"test","messages":[{"role":"user","content":"\\ud83e"}]}',
    "a lone low surrogate": b'{"model":"test","messages":[{"role":"user","content":"\\udd80 x"}]}',
    "a lone surrogate in an unknown field": b'{"model":"test",' + MESSAGES + b',"x":{"y":"\\ud800\\u0041"}}',
    "two models": b'{"model":"test",' + MESSAGES + b',"model":"other"}',
    "two equal models": b'{"model":"test","model":"test",' + MESSAGES + b"}",
    "two models, one escaped": b'{"model":"test",' + MESSAGES + b',"mod\\u0065l":"other"}',
    "two streams": b'{"model":"test","stream":false,' + MESSAGES + b',"stream":true}',
    "two streams, one escaped": b'{"model":"test","stream":false,' + MESSAGES + b',"\\u0073tream":true}',
    "no model": b"{" + MESSAGES + b"}",
    "a model that is null": b'{"model":null,' + MESSAGES + b"}",
    "a model that is a number": b'{"model":4,' + MESSAGES + b"}",
    "a model that is an array": b'{"model":["test"],' + MESSAGES + b"}",
    "a model in an inner object only": b'{"metadata":{"model":"test"},' + MESSAGES + b"}",
    "a stream that is a string": b'{"model":"test","stream":"true",' + MESSAGES + b"}",
    "a stream that is a number": b'{"model":"test","stream":1,' + MESSAGES + b"}",
    "arrays 10,000 deep": b'{"model":"test",' + MESSAGES + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "objects 10,000 deep": b'{"model":"test",' + MESSAGES + b',"x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    "10,000 open brackets": b"[" * 10_000,
}


@pytest.fixture(scope="module")
def served(module_gateway, module_upstream):
    return module_gateway(config_text([openai_backend("a", module_upstream.port, aggregate="off")]))


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_bad_json_is_an_invalid_request_and_reaches_no_backend(served, module_upstream, body):
    module_upstream.requests.clear()
    got = chat(served.port, body)
    assert (got.status, got.error["code"]) == (400, "invalid_request")
    assert set(got.error) == {"message", "type", "param", "code"}
    assert got.error["type"] == "invalid_request_error" and len(got.error["message"]) > 10
    assert module_upstream.requests == []


GOOD: dict[str, bytes] = {
    "a surrogate pair": b'{"model":"test","messages":[{"role":"user","content":"\\ud83e\\udd80"}]}',
    "an escaped model key": b'{"mod\\u0065l":"test",' + MESSAGES + b"}",
    "stream is null": b'{"model":"test","stream":null,' + MESSAGES + b"}",
    "blanks around": b' \r\n\t{"model":"test",' + MESSAGES + b"}\r\n ",
    "the same keys at other depths": b'{"model":"test","x":{"model":"y","stream":true},"y":[{"model":1}],' + MESSAGES + b"}",
    "arrays 50 deep": b'{"model":"test",' + MESSAGES + b',"x":' + b"[" * 50 + b"]" * 50 + b"}",
    "huge numbers": b'{"model":"test",' + MESSAGES + b',"seed":123456789012345678901234567890,"x":1e-300}',
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_unusual_but_proper_json_is_served(served, module_upstream, body):
    module_upstream.requests.clear()
    assert chat(served.port, body).status == 200
    assert module_upstream.requests[0].body == body.replace(b'"test"', b'"m-a"', 1)
