"""What a client learns when no Target answers: status, code, Retry-After, and never an operator's secret."""

from __future__ import annotations

import email.utils
import json
import time

import pytest

from clock import slow
from gateway import config_text, openai_backend, timeouts
from http_client import chat, chat_body, get, stream_chat
from replies import Close, Pause, Reply, Silence, answer, begun, error, error_body, events, sse, stream, whole

pytestmark = pytest.mark.sanitized
KEY = "sk-live-0123456789abcdef"
both = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


def ask(gateway, streamed=False):
    return chat(gateway.port, chat_body(stream=streamed))


@pytest.fixture
def two(gateway, upstream, second_upstream):
    return gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)]))


@pytest.fixture
def keyed(gateway, upstream):
    return gateway(config_text([openai_backend("a", upstream.port, api_key="env:THE_KEY",
                                               headers={"x-team-token": "env:TEAM", "x-plain": "blue-team"})]),
                   env={"THE_KEY": KEY, "TEAM": "team-0123456789"})


# --- how long to wait ------------------------------------------------------------------------------------------

def in_seconds(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@both
@pytest.mark.parametrize("fields,least,most", [
    ([("Retry-After", "7")], 7, 7), ([("Retry-After", "2.5")], 3, 3), ([("Retry-After", "0")], 0, 0),
    ([("retry-after-ms", "1200")], 2, 2), ([("retry-after-ms", "200"), ("Retry-After", "30")], 1, 1),
    ("date", 28, 31), ("past", 0, 0)], ids=["seconds", "fraction", "zero", "ms", "ms first", "date", "past date"])
def test_retry_after_is_told_in_whole_seconds_rounded_up(served, upstream, fields, least, most, streamed):
    if isinstance(fields, str):
        fields = [("Retry-After", in_seconds(30 if fields == "date" else -3600))]
    upstream.script(error(429, headers=fields))
    got = ask(served, streamed)
    assert got.status == 429 and least <= int(got.header("retry-after")) <= most


@pytest.mark.parametrize("value", ["soon", "-5", "1e3", ""])
def test_a_retry_after_that_says_nothing_is_left_out(served, upstream, value):
    upstream.script(error(429, headers=[("Retry-After", value)]))
    got = ask(served)
    assert got.status == 429 and got.header("retry-after") is None


@both
def test_the_least_over_the_targets_is_told(two, upstream, second_upstream, streamed):
    upstream.script(error(429, headers=[("Retry-After", "60")]))
    second_upstream.script(error(429, headers=[("Retry-After", "5")]))
    got = ask(two, streamed)
    assert (got.status, got.error["code"], got.header("retry-after")) == (429, "all_targets_failed", "5")


@pytest.mark.parametrize("status", [503, 529])
def test_an_overloaded_backend_s_retry_after_is_kept(served, upstream, status):
    upstream.script(error(status, headers=[("Retry-After", "9")]))
    got = ask(served)
    assert (got.status, got.error["code"], got.header("retry-after")) == (502, "all_targets_failed", "9")


@both
def test_the_only_target_s_own_code_type_and_rate_fields_are_kept(served, upstream, streamed):
    upstream.script(error(429, "You exceeded your current quota", type="insufficient_quota", code="insufficient_quota",
                          headers=[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")]))
    got = ask(served, streamed)
    assert (got.status, got.error["code"], got.error["type"]) == (429, "insufficient_quota", "insufficient_quota")
    assert "You exceeded your current quota" in got.error["message"] and "a: quota 429" in got.error["message"]
    assert got.header("x-ratelimit-remaining-requests") == "0" and got.header("x-ratelimit-reset-requests") == "6m0s"


# --- whose fault -----------------------------------------------------------------------------------------------

NO_MODEL = error(404, "The model `test` does not exist", code="model_not_found")


@both
def test_a_model_that_no_target_has_is_the_client_s_404(gateway, upstream, second_upstream, streamed):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 [{"model": "*", "targets": [{"backend": "a"}, {"backend": "b"}], "retries": 0}]))
    upstream.script(NO_MODEL)
    second_upstream.script(error(404, "model 'test' not found", type="api_error"))
    got = ask(served, streamed)
    assert (got.status, got.error["code"], got.attempts) == (404, "model_not_found", 2)
    assert 'class="no_model"' in served.metrics()


# --- by what a provider says --------------------------------------------------------------------------------------

TOO_LONG = error(400, "This model's maximum context length is 4096 tokens", code="context_length_exceeded")


@pytest.fixture
def three(gateway, upstream, second_upstream, third_upstream):
    return gateway(config_text([openai_backend(name, one.port) for name, one in
                                zip("abc", (upstream, second_upstream, third_upstream))]))


@both
def test_a_request_that_is_too_long_for_one_target_goes_to_the_next(three, upstream, second_upstream, streamed):
    upstream.script(TOO_LONG)
    second_upstream.script(stream(["It fits"]) if streamed else answer("It fits"))
    got = ask(three, streamed)
    assert (got.status, got.header("x-spillway-backend"), got.attempts) == (200, "b", 2)
    assert b"It fits" in got.body


@both
@pytest.mark.parametrize("second", ["too long", "overload"])
def test_only_one_other_target_is_asked_whether_it_holds_more(three, upstream, second_upstream, third_upstream, streamed, second):
    upstream.script(TOO_LONG)
    second_upstream.script(TOO_LONG if second == "too long" else error(503))
    got = ask(three, streamed)
    assert (got.status, got.error["code"], got.attempts) == (400, "context_length_exceeded", 2)
    assert got.header("x-spillway-backend") == ("b" if second == "too long" else "a")
    assert third_upstream.requests == []


def test_an_account_without_money_is_left_and_shouted_about(two, upstream, second_upstream):
    upstream.script(error(402, "Insufficient Balance"))
    second_upstream.script(answer())
    assert ask(two).header("x-spillway-backend") == "b"
    assert any("no money or no quota" in problem for problem in get(two.admin_port, "/admin/v1/health").json["problems"])


@pytest.mark.parametrize("reply", [NO_MODEL, error(401), error(403), whole(404, "<html>Not Found</html>", content_type="text/html")],
                         ids=["a model that the config names", "401", "403", "a wrong path"])
def test_what_the_operator_has_to_mend_is_not_to_be_repeated(served, upstream, reply):
    upstream.script(reply)
    got = ask(served)
    assert (got.status, got.header("x-should-retry")) == (502, "false")
    assert "a: config" in got.error["message"]


def test_a_failure_that_may_heal_may_be_repeated(two, upstream, second_upstream):
    upstream.script(error(401))
    second_upstream.script(error(503))
    got = ask(two)
    assert got.status == 502 and got.header("x-should-retry") is None


def test_a_redirect_is_named_with_its_aim(served, upstream):
    upstream.script(whole(307, "", [("Location", "https://elsewhere.example/v1")]))
    got = ask(served)
    assert got.status == 502 and "https://elsewhere.example/v1" in got.error["message"] and "Unknown" not in got.error["message"]


def test_a_byte_order_mark_is_named(served, upstream):
    upstream.script(whole(200, b"\xef\xbb\xbf" + json.dumps({"choices": []}).encode()))
    assert "byte order mark" in ask(served).error["message"]
    got = chat(served.port, b"\xef\xbb\xbf" + json.dumps(chat_body()).encode())
    assert got.status == 400 and "byte order mark" in got.error["message"]


# --- the operator's secrets stay here --------------------------------------------------------------------------

LEAKS = {
    "401": error(401, f"Incorrect API key provided: {KEY}."),
    "500": error(500, f"failed with Authorization: Bearer {KEY} and team-0123456789"),
    "an error with 200": whole(200, error_body(f"bad key {KEY}{KEY}")),
    "a code": error(429, code=KEY, type=f"t-{KEY}"),
    "a passed 400": error(400, f"your key {KEY} may not; team-0123456789"),
    "a passed 400 of text": whole(400, f"key={KEY}", content_type="text/plain"),
    "a redirect": whole(302, "", [("Location", f"https://x.example/?key={KEY}")]),
    "a header": error(400, headers=[("warning", f"auth={KEY}")]),
}


@both
@pytest.mark.parametrize("reply", LEAKS.values(), ids=LEAKS.keys())
def test_no_secret_of_the_backend_reaches_a_client_or_a_log(keyed, upstream, reply, streamed):
    upstream.script(reply)
    got = ask(keyed, streamed)
    everything = repr(got.headers) + got.body.decode()
    assert got.status >= 400 and KEY not in everything and "team-0123456789" not in everything
    assert KEY not in keyed.access_log() and KEY not in keyed.stderr and KEY not in keyed.metrics()


def test_a_passed_refusal_without_a_secret_stays_byte_for_byte(keyed, upstream):
    body = b'{ "error" : {"message":"blue-team asks for too much"} }'
    upstream.script(whole(400, body))
    assert ask(keyed).body == body


def test_no_secret_in_an_error_event(keyed, upstream):
    upstream.script(begun([*events(["Hel"], finish=None, done=False), sse(error_body(f"lost {KEY}"))]) + [Close()])
    got = stream_chat(keyed.port)
    assert got.text == "Hel" and got.errors and KEY not in json.dumps(got.errors)


# --- ids -------------------------------------------------------------------------------------------------------

def test_the_id_in_use_goes_upstream_and_the_provider_s_own_comes_back(served, upstream):
    upstream.script(answer(headers=[("x-request-id", "req_provider")]))
    got = chat(served.port, headers={"x-request-id": "mine-1"})
    assert (got.header("x-request-id"), got.header("x-spillway-upstream-request-id")) == ("mine-1", "req_provider")
    assert upstream.requests[-1].header("x-request-id") == "mine-1"
    line = json.loads(served.access_log_lines(1)[-1])
    assert line["request_id"] == "mine-1" and line["attempts"][0]["upstream_request_id"] == "req_provider"
    upstream.script(answer(headers=[("request-id", "req_2")]))
    got = chat(served.port)
    assert upstream.requests[-1].header("x-request-id") == got.header("x-request-id") != "mine-1"
    assert got.header("x-spillway-upstream-request-id") == "req_2"


def test_the_provider_s_id_is_told_when_it_failed_too(served, upstream):
    upstream.script(error(503, headers=[("x-request-id", "req_503")]))
    got = chat(served.port)
    assert (got.status, got.header("x-spillway-upstream-request-id")) == (502, "req_503")


def test_an_upstream_id_that_no_log_should_have_is_left_out(served, upstream):
    upstream.script(answer(headers=[("x-request-id", 'a"b\\c')]))
    assert chat(served.port).header("x-spillway-upstream-request-id") is None


# --- encodings -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "identity, gzip"])
def test_an_encoded_body_is_refused_by_name(served, upstream, coding):
    got = chat(served.port, b"\x1f\x8b\x08\x00", headers={"Content-Encoding": coding})
    assert (got.status, got.error["code"]) == (415, "invalid_request")
    assert coding in got.error["message"] and got.header("accept-encoding") == "identity" and upstream.requests == []


def test_identity_is_no_encoding(served):
    assert chat(served.port, headers={"Content-Encoding": "identity"}).status == 200


# --- the same connection, dead while it was kept ----------------------------------------------------------------

def test_the_repeat_on_a_dead_kept_connection_is_told_and_has_no_second_time(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], defaults=timeouts(0.6), server={"threads": 1}))
    # The kept connection takes the second request and is closed without a word; the new one says nothing at all.
    upstream.script(answer(), Reply((Pause(slow(0.4)), Close())), Reply((Silence(),)))
    short = chat_body(max_tokens=1)
    assert chat(served.port, short).status == 200
    start = time.monotonic()
    got = chat(served.port, short)
    assert got.status == 502 and got.attempts == 1
    assert time.monotonic() - start < slow(0.6) + slow(0.3)
    assert json.loads(served.access_log_lines(2)[-1])["attempts"][0].get("repeated") is True, served.access_log()
