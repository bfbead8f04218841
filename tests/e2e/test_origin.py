"""A page in somebody's browser must not ask with the operator's keys; this machine's own pages may."""

from __future__ import annotations

import pytest

from gateway import config_text, openai_backend
from http_client import call, chat, chat_body, Connection, encode
from replies import answer

CHAT = "/v1/chat/completions"


def from_page(port: int, origin: str, method: str = "POST", target: str = CHAT, body=None, headers=()):
    return call(port, method, target, chat_body() if method == "POST" else body, [("Origin", origin), *headers])


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example",
                                    "null", "evil", "http://evil.example:8080", "https://user@evil.example"])
def test_a_foreign_page_is_refused_and_nothing_is_asked(served, upstream, origin):
    got = from_page(served.port, origin)
    assert (got.status, got.error["code"]) == (403, "foreign_origin") and "cors_origins" in got.error["message"]
    assert got.header("access-control-allow-origin") is None and upstream.requests == []
    assert from_page(served.port, origin, "OPTIONS", headers=[("Access-Control-Request-Method", "POST")]).status == 403
    assert from_page(served.port, origin, "GET", "/v1/models").status == 403


@pytest.mark.parametrize("origin", ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173",
                                    "http://app.localhost", "tauri://localhost"])
def test_a_page_of_this_machine_may_ask_and_see(served, origin):
    got = from_page(served.port, origin)
    assert got.status == 200 and got.header("access-control-allow-origin") == origin
    assert "x-request-id" in got.header("access-control-expose-headers") and "Origin" in got.header("vary")


def test_the_preflight_is_answered(served, upstream):
    got = from_page(served.port, "http://localhost:3000", "OPTIONS",
                    headers=[("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,content-type")])
    assert got.status == 204 and got.header("content-length") is None
    assert "POST" in got.header("access-control-allow-methods")
    assert got.header("access-control-allow-headers") == "authorization,content-type" and upstream.requests == []


def test_the_config_can_let_pages_and_names_in(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)],
                                 server={"cors_origins": ["https://app.example.com"], "hosts": ["llm.example.com"]}))
    assert from_page(served.port, "https://app.example.com").status == 200
    assert from_page(served.port, "https://llm.example.com").status == 200
    assert from_page(served.port, "https://other.example.com").status == 403
    with Connection(served.port) as connection:
        for host, status in (("llm.example.com:8080", 200), ("LLM.example.com.", 200), ("other.example.com", 403)):
            connection.request("POST", CHAT, encode(chat_body()), host=host)
            assert connection.read_answer().status == status, host


@pytest.mark.parametrize("host,status", [("rebind.evil.example", 403), ("rebind.evil.example:8080", 403), ("127.0.0.1.evil.example", 403),
                                         ("10.0.0.7", 403), ("localhost", 200), ("LOCALHOST:99", 200), ("[::1]:8080", 200),
                                         ("127.0.0.1:1", 200), ("127.1.2.3", 200)])
def test_a_loopback_listener_answers_to_this_machine_s_names_alone(served, upstream, host, status):
    for port, target in ((served.port, "/v1/models"), (served.admin_port, "/metrics"), (served.admin_port, "/admin/v1/status")):
        with Connection(port) as connection:
            connection.request("GET", target, host=host)
            got = connection.read_answer()
        assert got.status == status, (target, got)
        if status == 403:
            assert got.error["code"] == "foreign_origin" and "server.hosts" in got.error["message"]


def test_the_admin_plane_is_for_no_foreign_page_whatever_the_config_says(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], server={"cors_origins": ["https://app.example.com"]}))
    assert from_page(served.admin_port, "https://app.example.com", "GET", "/metrics").status == 403
    assert from_page(served.admin_port, "http://localhost:1", "GET", "/metrics").status == 200


def test_a_request_without_origin_and_content_type_is_fine(served):
    assert call(served.port, "POST", CHAT, chat_body()).status == 200


def test_the_upstream_s_cors_fields_do_not_come_back(served, upstream):
    upstream.script(answer(headers=[("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true")]))
    got = chat(served.port)
    assert got.header("access-control-allow-origin") is None and got.header("access-control-allow-credentials") is None


# --- what goes on ----------------------------------------------------------------------------------------------

GOES_ON = {"Accept": "text/event-stream", "Accept-Language": "zh-CN", "User-Agent": "OpenAI/Python 2.1", "OpenAI-Organization": "org-1",
           "OpenAI-Beta": "x=v1", "anthropic-version": "2023-06-01", "x-stainless-lang": "python", "traceparent": "00-1-2-01",
           "tracestate": "a=b"}
STAYS = {"Authorization": "Bearer client", "x-api-key": "client", "api-key": "client", "x-goog-api-key": "client", "X-Auth-Token": "client",
         "Cookie": "a=client", "Referer": "http://client/", "Sec-Fetch-Site": "cross-site", "Cf-Access-Client-Secret": "client",
         "x-amz-security-token": "client", "X-Forwarded-For": "10.1.2.3", "X-Real-IP": "10.1.2.3", "Forwarded": "for=10.1.2.3",
         "x-spillway-workload": "client", "X-Anything-Else": "client", "Proxy-Authorization": "client"}


def test_a_short_list_of_the_client_s_fields_goes_on(served, upstream):
    assert chat(served.port, headers=GOES_ON | STAYS).status == 200
    sent = upstream.requests[-1]
    assert {name: sent.header(name) for name in GOES_ON} == GOES_ON
    assert [name for name in STAYS if sent.header(name) is not None] == []


def test_the_config_adds_fields_that_go_on(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port, forward_headers=["X-Team", "x-forwarded-for"])]))
    assert chat(served.port, headers={"x-team": "blue", "X-Forwarded-For": "10.1.2.3", "x-other": "no"}).status == 200
    sent = upstream.requests[-1]
    assert (sent.header("x-team"), sent.header("x-forwarded-for"), sent.header("x-other")) == ("blue", "10.1.2.3", None)
