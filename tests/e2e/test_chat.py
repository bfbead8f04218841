"""The way of one request that nothing goes wrong with: what reaches the Backend, and what comes back."""

from __future__ import annotations

import json
import re

import pytest

from fake_upstream import FakeUpstream
from gateway import config_text, openai_backend
from http_client import CHAT, Connection, call, chat, chat_body, get, open_stream, stream_chat
from replies import answer, events, stream

ODD_BODY = ('{ "temperature":0.70,\t"model" : "test" ,\n  "x_unknown":{"b":1.0e-3,"a":[1, 2,  3],"null":null},"max_tokens": 9,\n'
            '  "messages":[{"role":"user","content":"caf\\u00e9 \\"model\\": \\"test\\" \\/ 早上好 \U0001F980"}],\n'
            '  "metadata":{"model":"inner","stream":true}, "seed" : 12345678901234567890 }\r\n').encode()


def test_answer_comes_back_as_the_backend_gave_it(served, upstream):
    upstream.script(answer("Good morning", x_extra={"kept": [1, 2]}))
    got = chat(served.port)
    assert (got.status, got.text, got.json["x_extra"]) == (200, "Good morning", {"kept": [1, 2]})
    assert got.header("content-type").startswith("application/json")
    assert got.json["model"] == "fake-model", "the model in an answer is what the Backend says"


def test_stream_comes_back_event_by_event(served, upstream):
    upstream.script(stream(events(["Good ", "morning", ", ", "早上好"])))
    got = stream_chat(served.port)
    assert (got.text, got.roles, got.finish_reasons, got.done) == ("Good morning, 早上好", ["assistant"], ["stop"], 1)
    assert got.torn is None and {chunk["id"] for chunk in got.chunks} == {"chatcmpl-fake"}


def test_only_model_changes_in_the_body_byte_for_byte(served, upstream):
    chat(served.port, ODD_BODY)
    assert upstream.requests[0].body == ODD_BODY.replace(b'"model" : "test"', b'"model" : "m-a"', 1)


def test_a_longer_and_a_shorter_model_name_are_spliced(served, upstream):
    for name in ("x", "a-model-name-that-is-much-longer-than-the-one-that-goes-out" * 4, "caf\\u00e9 \\\\ \\\" x", ""):
        body = b'{"max_tokens":9,"a":[1,2],"model":"' + name.encode() + b'","messages":[{"role":"user","content":"hi"}],"z":0}'
        chat(served.port, body)
        assert upstream.requests[-1].body == body.replace(b'"' + name.encode() + b'"', b'"m-a"', 1)


def test_a_target_without_model_is_asked_for_the_clients_own(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], [{"model": "*", "targets": [{"backend": "a"}]}]))
    chat(served.port, ODD_BODY)
    assert upstream.requests[0].body == ODD_BODY


def test_a_streamed_body_with_stream_options_stays_byte_for_byte(served, upstream):
    body = (b'{"stream" : true, "stream_options":{ "include_usage":true },  "model":"test", '
            b'"messages":[{"role":"user","content":"hi"}] , "user":"u"}')
    got = stream_chat(served.port, body)
    assert upstream.requests[0].body == body.replace(b'"test"', b'"m-a"')
    assert len(got.usages) == 1


def test_usage_goes_only_to_clients_that_asked_for_it(served, upstream):
    body = chat_body(stream=True, seed=7)
    got = stream_chat(served.port, body)
    assert got.usages == [] and all(chunk["choices"] for chunk in got.chunks)
    sent = upstream.requests[0].json
    sent.pop("stream_options", None)
    assert sent == {**body, "model": "m-a"}


@pytest.mark.parametrize("base", ["/v1", "/v1/", "", "/"])
def test_base_url_works_with_and_without_v1(gateway, upstream, base):
    served = gateway(config_text([openai_backend("a", f"http://127.0.0.1:{upstream.port}{base}")]))
    assert chat(served.port).status == 200
    assert upstream.requests[0].target == CHAT


def test_headers_tell_backend_attempts_and_a_generated_request_id(served):
    first, second = chat(served.port), chat(served.port)
    assert (first.header("x-spillway-backend"), first.attempts) == ("a", 1)
    assert re.fullmatch(r"[\w.:-]{8,}", first.header("x-request-id"))
    assert first.header("x-request-id") != second.header("x-request-id")


def test_headers_of_a_stream_tell_backend_attempts_and_request_id(served):
    with Connection(served.port) as connection:
        head = open_stream(connection, chat_body(stream=True), [("X-Request-Id", "mine-1")]).streamed.answer
    assert (head.header("x-spillway-backend"), head.attempts, head.header("x-request-id")) == ("a", 1, "mine-1")


def test_the_clients_own_request_id_comes_back_also_with_an_error(served):
    ids = {"X-Request-Id": "client-7f3a"}
    assert chat(served.port, headers=ids).all("x-request-id") == ["client-7f3a"]
    assert chat(served.port, b"{", ids).all("x-request-id") == ["client-7f3a"]


def test_the_clients_secrets_stay_here_and_the_backends_key_goes_out(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port, api_key="env:UPSTREAM_KEY")]),
                     env={"UPSTREAM_KEY": "sk-of-the-backend"})
    chat(served.port, headers=[("Authorization", "Bearer sk-of-the-client"), ("Cookie", "session=secret"),
                               ("x-api-key", "client-key"), ("X-Spillway-Workload", "night"),
                               ("x-spillway-priority", "high"), ("x-spillway-deadline-ms", "5000"),
                               ("x-spillway-anything", "x"), ("Proxy-Authorization", "Basic Zm9v"),
                               ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("TE", "trailers"),
                               ("Keep-Alive", "timeout=5")])
    request = upstream.requests[0]
    assert [value for name, value in request.headers if name.lower() == "authorization"] == ["Bearer sk-of-the-backend"]
    kept_back = {"cookie", "x-api-key", "proxy-authorization", "x-hop", "te", "keep-alive"}
    assert not kept_back & set(request.header_names())
    assert not [name for name in request.header_names() if name.startswith("x-spillway-")]
    assert b"client" not in request.raw and b"secret" not in request.raw
    assert request.header("host") == f"127.0.0.1:{upstream.port}"


def test_without_a_key_no_authorization_goes_out(served, upstream):
    chat(served.port, headers={"Authorization": "Bearer sk-of-the-client"})
    assert upstream.requests[0].header("authorization") is None


def test_a_key_file_is_read_without_its_line_end(gateway, upstream, tmp_path):
    key = tmp_path / "key"
    key.write_text("sk-from-a-file\n")
    key.chmod(0o600)
    served = gateway(config_text([openai_backend("a", upstream.port, api_key=f"file:{key}", headers={"X-Team": "blue"})]))
    chat(served.port)
    assert upstream.requests[0].header("authorization") == "Bearer sk-from-a-file"
    assert upstream.requests[0].header("x-team") == "blue"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_the_providers_private_headers_do_not_reach_the_client(served, upstream, streamed):
    private = [("Set-Cookie", "provider=1"), ("X-Request-Id", "provider-id"), ("x-spillway-backend", "forged"),
               ("X-Spillway-Attempts", "99"), ("x-spillway-other", "1"), ("Keep-Alive", "timeout=1")]
    upstream.script(stream(["hi"], headers=private) if streamed else answer(headers=private))
    with Connection(served.port) as connection:
        if streamed:
            got = open_stream(connection, None, [("x-request-id", "mine")]).streamed.answer
        else:
            got = chat(served.port, headers={"x-request-id": "mine"})
    assert got.all("set-cookie") == [] and got.header("x-spillway-other") is None and got.header("keep-alive") is None
    assert (got.all("x-request-id"), got.all("x-spillway-backend")) == (["mine"], ["a"])
    assert got.all("x-spillway-attempts") == ["1"]


def test_routes_match_exactly_then_by_the_most_specific_glob(gateway):
    with FakeUpstream() as one, FakeUpstream() as two, FakeUpstream() as three:
        backends = [openai_backend(name, fake.port) for name, fake in zip("abc", (one, two, three))]
        served = gateway(config_text(backends, [
            {"model": "*", "targets": [{"backend": "a"}]}, {"model": "gpt-*", "targets": [{"backend": "b"}]},
            {"model": "gpt-4", "targets": [{"backend": "c"}]}]))
        asked = ("gpt-4", "gpt-4o", "gpt-", "other")
        assert [chat(served.port, chat_body(model=name)).header("x-spillway-backend") for name in asked] == list("cbba")


def test_a_workload_label_picks_its_route(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)], [
        {"model": "*", "targets": [{"backend": "a"}]},
        {"model": "*", "workload": "night", "targets": [{"backend": "b"}]}]))
    assert chat(served.port).header("x-spillway-backend") == "a"
    assert chat(served.port, headers={"x-spillway-workload": "night"}).header("x-spillway-backend") == "b"


def test_a_model_without_a_route_is_no_target(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], [{"model": "gpt-*", "targets": [{"backend": "a"}]}]))
    for body in (chat_body(model="llama"), chat_body(model="llama", stream=True)):
        got = chat(served.port, body)
        assert (got.status, got.error["code"]) == (404, "no_target")
        assert "llama" in got.error["message"]
        assert set(got.error) >= {"message", "type", "param", "code"}
    assert upstream.requests == []


def test_models_are_listed_and_got(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], [
        {"model": "fast", "targets": [{"backend": "a"}]}, {"model": "team/deep", "targets": [{"backend": "a"}]}]))
    listed = get(served.port, "/v1/models")
    assert (listed.status, listed.json["object"]) == (200, "list")
    assert {"fast", "team/deep"} <= {model["id"] for model in listed.json["data"]}
    assert all(model["object"] == "model" and "owned_by" in model for model in listed.json["data"])
    assert get(served.port, "/v1/models/fast").json["id"] == "fast"
    assert get(served.port, "/v1/models/team/deep").json["id"] == "team/deep"
    assert get(served.port, "/v1/models/team%2Fdeep").json["id"] == "team/deep"
    missing = get(served.port, "/v1/models/nosuch")
    assert missing.status == 404 and "nosuch" in missing.error["message"]


def test_healthz_and_readyz_answer(served):
    assert get(served.port, "/healthz").status == 200
    assert get(served.port, "/readyz").status == 200


@pytest.mark.parametrize("target", ["/v1", "/v1/nothing", "/v2/chat/completions", "/v1/chat/completions/x",
                                    "/v1/chat/../chat/completions", "//v1/chat/completions", "/metrics", "/admin/v1/health"])
def test_an_unknown_path_is_404_in_the_openai_shape(served, upstream, target):
    got = call(served.port, "POST", target, chat_body())
    assert got.status == 404 and got.error["message"] and got.error["type"]
    assert upstream.requests == []


@pytest.mark.parametrize("method,target,allowed", [("GET", CHAT, "POST"), ("PUT", CHAT, "POST"), ("DELETE", "/v1/models", "GET"),
                                                   ("POST", "/healthz", "GET"), ("PATCH", "/v1/models/x", "GET")])
def test_a_wrong_method_is_405_and_tells_the_right_one(served, upstream, method, target, allowed):
    got = call(served.port, method, target, b"{}" if method != "GET" else None)
    assert got.status == 405 and allowed in [name.strip() for name in got.header("allow").split(",")]
    assert got.error["message"]
    assert upstream.requests == []


def test_a_query_string_does_not_hide_the_path(served):
    assert get(served.port, "/healthz?verbose=1").status == 200
    assert call(served.port, "POST", CHAT + "?api-version=1", chat_body()).status == 200


def test_a_body_of_several_megabytes_arrives_whole(served, upstream):
    body = json.dumps({"model": "test", "max_tokens": 9, "messages": [{"role": "user", "content": "数据" * 1_500_000}]},
                      ensure_ascii=False).encode()
    assert chat(served.port, body).status == 200
    assert upstream.requests[0].body == body.replace(b'"test"', b'"m-a"', 1)


def test_a_chunked_request_body_is_taken(served, upstream):
    body = b'{"model":"test","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
    with Connection(served.port) as connection:
        connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 7):
            piece = body[at:at + 7]
            connection.send(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        assert connection.read_answer().status == 200
    assert upstream.requests[0].body == body.replace(b'"test"', b'"m-a"', 1)
