"""Traffic moves away from a Backend that fails, and comes back when it is mended."""

from __future__ import annotations

import json
import time

import pytest

from clock import slow
from gateway import config_text, openai_backend, run
from http_client import chat, chat_body, get
from replies import answer, error

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded]


def two(gateway, upstream, second_upstream, **breaker):
    return gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                               **({"breaker": breaker} if breaker else {})))


def ask(served) -> str | None:
    got = chat(served.port, chat_body(max_tokens=5))
    assert got.status == 200
    return got.header("x-spillway-backend")


def test_a_dead_backend_is_touched_by_few_of_60_requests(gateway, upstream, second_upstream):
    served = two(gateway, upstream, second_upstream)
    upstream.script(error(503))
    for _ in range(60):
        assert ask(served) == "b"
    assert 5 <= len(upstream.requests) <= 20
    (told,) = [line for line in served.stderr.splitlines() if "is spared" in line]
    assert "backend a is spared: 5 of its last 5 Attempts failed" in told
    assert 'spillway_backend_share{backend="a"} 0.02' in served.metrics() and 'spillway_backend_share{backend="b"} 1' in served.metrics()
    assert "spared (2 %)" in run("status", "--admin", f"127.0.0.1:{served.admin_port}", home=served.home).stdout
    assert json.loads(get(served.admin_port, "/admin/v1/status").body)["backends"][0]["share"] == 0.02


def test_traffic_is_back_when_it_is_mended(gateway, upstream, second_upstream):
    served = two(gateway, upstream, second_upstream, probe_interval="50ms")
    upstream.script(*[error(503)] * 8, answer())
    end = time.monotonic() + slow(10)
    while "backend a is mended" not in served.stderr:
        ask(served)
        assert time.monotonic() < end, served.stderr
    assert [ask(served) for _ in range(20)] == ["a"] * 20


def test_the_only_target_is_asked_whatever_its_health(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    upstream.script(error(503))
    for _ in range(20):
        assert chat(served.port, chat_body(max_tokens=5)).status == 502
    assert len(upstream.requests) == 20


def test_one_that_is_spared_is_asked_when_all_others_have_failed(gateway, upstream, second_upstream):
    served = two(gateway, upstream, second_upstream)
    upstream.script(*[error(503)] * 5, answer())
    for _ in range(5):
        assert ask(served) == "b"
    second_upstream.script(error(500))
    assert ask(served) == "a"


def test_a_client_s_own_faults_never_count(gateway, upstream, second_upstream):
    served = two(gateway, upstream, second_upstream)
    upstream.script(error(400))
    for _ in range(30):
        assert chat(served.port, chat_body(max_tokens=5)).status == 400
    assert len(upstream.requests) == 30


@pytest.mark.parametrize("line,told", [("error_rat = 0.2", "did you mean `error_rate`?"), ("error_rate = 18.7", "from 0 to 1"),
                                       ("least_failures = 0", "from 1 to 1000"), ("probe_interval = 3", "a duration in quotes")])
def test_a_breaker_that_makes_no_sense_is_refused(tmp_path, line, told):
    file = tmp_path / "spillway.toml"
    file.write_text("[breaker]\n" + line + "\n")
    got = run("--config", str(file), "check", home=tmp_path)
    assert got.returncode == 2 and f"{file}:2:" in got.stderr and told in got.stderr


def test_a_model_that_fails_spares_no_other_one_of_its_backend(gateway, upstream, second_upstream):
    """A Target without a model of its own, as in the usual Route `*`."""
    upstream.script(lambda request: error(503) if request.json["model"] == "x" else answer())
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 [{"model": "*", "targets": [{"backend": "a"}, {"backend": "b"}], "retries": 0}]))
    by = {model: [chat(served.port, chat_body(max_tokens=5, model=model)).header("x-spillway-backend") for _ in range(30)] for model in ("x", "y")}
    assert by["x"] == ["b"] * 30 and by["y"] == ["a"] * 30
    asked = [request.json["model"] for request in upstream.requests]
    assert asked.count("x") < 20 and asked.count("y") == 30
    # However many are named, only so many are remembered.
    for number in range(300):
        assert chat(served.port, chat_body(max_tokens=5, model=f"m{number}")).header("x-spillway-backend") == "a"


def test_the_time_of_a_slow_model_says_nothing_of_a_fast_one(gateway, upstream, second_upstream):
    from replies import Pause, Reply

    def of(slow_model):
        return lambda request: (Reply((Pause(0.12),)) if request.json["model"] == slow_model else Reply(())) + answer()
    upstream.script(of("x"))
    second_upstream.script(of("y"))
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 [{"model": "*", "targets": [{"backend": "a"}, {"backend": "b"}], "policy": "latency"}]))
    for _ in range(20):
        for model in ("x", "y"):
            chat(served.port, chat_body(max_tokens=5, model=model))
    last = {model: [chat(served.port, chat_body(max_tokens=5, model=model)).header("x-spillway-backend") for _ in range(10)] for model in ("x", "y")}
    assert last["x"].count("b") >= 8 and last["y"].count("a") >= 8, last
