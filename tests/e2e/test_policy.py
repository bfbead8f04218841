"""Which Target is asked first, and when a second one is asked as well."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from clock import duration, eventually, slow
from gateway import config_text, openai_backend, run
from http_client import Connection, chat, chat_body, open_stream, stream_chat
from replies import error
from simulated import Simulated

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded]


def route(policy: str, *targets: dict, **more) -> list[dict]:
    return [{"model": "*", "policy": policy, "retries": 0, "targets": list(targets), **more}]


def target(name: str, **more) -> dict:
    return {"backend": name, "model": f"m-{name}", **more}


def answered_by(served, count: int, **body) -> Counter:
    return Counter(chat(served.port, chat_body(max_tokens=5, **body)).header("x-spillway-backend") for _ in range(count))


# --- policies --------------------------------------------------------------------------------------------------

def test_latency_finds_the_faster_one(gateway, simulated):
    far, near = simulated({"first_token": duration(0.15)}), simulated({"first_token": "2ms"})
    served = gateway(config_text([openai_backend("far", far.port), openai_backend("near", near.port)],
                                 route("latency", target("far"), target("near"))))
    counts = answered_by(served, 40)
    assert counts["near"] >= 35 and counts["far"] >= 1


def test_cost_asks_the_cheapest_and_fails_over_to_the_next(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("dear", upstream.port), openai_backend("cheap", second_upstream.port)],
                                 route("cost", target("dear", input_price=2.0, output_price=10.0),
                                       target("cheap", input_price=0.15, output_price=0.6))))
    assert answered_by(served, 10) == {"cheap": 10}
    second_upstream.script(error(503))
    assert answered_by(served, 3) == {"dear": 3}


def test_cost_weighs_a_long_prompt_against_a_long_answer(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("reads", upstream.port), openai_backend("writes", second_upstream.port)],
                                 route("cost", target("reads", input_price=0.1, output_price=10.0),
                                       target("writes", input_price=1.0, output_price=1.0))))
    assert answered_by(served, 2, messages=[{"role": "user", "content": "word " * 5000}]) == {"reads": 2}
    assert chat(served.port, chat_body(max_tokens=200)).header("x-spillway-backend") == "writes"


def test_weighted_draws_by_weight(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 route("weighted", target("a", weight=1), target("b", weight=3))))
    counts = answered_by(served, 200)
    assert 20 <= counts["a"] <= 85 and counts["a"] + counts["b"] == 200  # five standard deviations


def check(tmp_path, text: str):
    file = tmp_path / "spillway.toml"
    file.write_text(text)
    return run("--config", str(file), "check", home=tmp_path)


def test_a_policy_that_makes_no_sense_is_refused(tmp_path):
    backends = [openai_backend("a", 1), openai_backend("b", 2)]
    got = check(tmp_path, config_text(backends, route("weighted", target("a", weight=0), target("b", weight=0))))
    assert got.returncode == 2 and "no target has a weight above 0" in got.stderr
    got = check(tmp_path, config_text(backends, route("cost", target("a"), target("b", input_price=1, output_price=1))))
    assert got.returncode == 2 and "the price at a is not known" in got.stderr and "b is not known" not in got.stderr
    assert "input_price = 0.15" in got.stderr  # the mend
    got = check(tmp_path, config_text(backends, route("latncy", target("a"))))
    assert got.returncode == 2 and 'did you mean "latency"?' in got.stderr
    got = check(tmp_path, config_text(backends, route("ordered", target("a"), hedge="soon")))
    assert got.returncode == 2 and "is not a hedge" in got.stderr


# --- hedges ----------------------------------------------------------------------------------------------------

def hedged(gateway, first: Simulated, second: Simulated, hedge: str, **more):
    return gateway(config_text([openai_backend("a", first.port), openai_backend("b", second.port)],
                               route("ordered", target("a"), target("b"), hedge=hedge), breaker={"on": False}, **more))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_late_first_token_is_outrun_by_the_next_target(gateway, simulated, stream):
    late, fast = simulated({"first_token": duration(6)}), simulated({})
    served = hedged(gateway, late, fast, duration(0.2))
    began = time.monotonic()
    if stream:
        got = stream_chat(served.port, chat_body(stream=True))
        assert got.done == 1 and got.roles == ["assistant"] and len(got.finish_reasons) == 1
        assert got.answer.header("x-spillway-attempts") == "2" and got.answer.header("x-spillway-backend") == "b"
    else:
        got = chat(served.port, chat_body(max_tokens=20))
        assert got.status == 200 and got.header("x-spillway-attempts") == "2" and got.header("x-spillway-backend") == "b"
    assert time.monotonic() - began < slow(3)
    eventually("the loser is left", lambda: late.stats["clients_left"] == 1, 2)
    assert late.requests[0]["tokens"] == 0
    (line,) = map(json.loads, served.access_log_lines(1))
    assert [(one["backend"], one["class"], one.get("hedge", False)) for one in line["attempts"]] \
        == [("a", "outrun", False), ("b", "answered", True)]
    metrics = served.metrics()
    assert 'spillway_hedges_total{backend="b"} 1' in metrics and 'spillway_hedges_total{backend="a"} 0' in metrics
    assert 'spillway_attempts_total{backend="a",class="outrun"} 1' in metrics


def test_the_loser_is_left_within_100_ms(gateway, simulated):
    late, fast = simulated({"first_token": duration(6)}), simulated({"first_token": "1ms", "tokens": 2000, "tokens_per_second": 1000})
    served = hedged(gateway, late, fast, duration(0.1))
    with Connection(served.port) as connection:
        reader = open_stream(connection, chat_body(stream=True, max_tokens=2000))
        reader.next()
        eventually("the loser is left while the winner goes on", lambda: late.stats["clients_left"] == 1, 0.1)
        assert fast.stats["answered"] == 0


def test_auto_hedges_at_most_five_in_a_hundred(gateway, simulated):
    first = simulated({"first_token": "5ms", "fault": [{"kind": "silent", "probability": 0.1}], "seed": 3})
    served = hedged(gateway, first, simulated({}), "auto", retry_budget={"floor": 2}, defaults={"first_token_timeout": duration(0.3)})
    for _ in range(200):
        assert chat(served.port, chat_body(max_tokens=5)).status == 200
    hedges = int(next(line for line in served.metrics().splitlines() if line.startswith('spillway_hedges_total{backend="b"}')).split()[-1])
    assert 1 <= hedges <= 2 + 10


def test_what_is_stored_at_the_provider_is_asked_once(gateway, simulated):
    late, fast = simulated({"first_token": duration(0.5)}), simulated({})
    served = hedged(gateway, late, fast, duration(0.05))
    got = chat(served.port, chat_body(max_tokens=5, store=True))
    assert got.status == 200 and got.header("x-spillway-backend") == "a" and got.header("x-spillway-attempts") == "1"
    assert fast.stats["requests"] == 0


def test_a_hedge_that_breaks_after_its_first_token_goes_on_at_the_third(gateway, simulated):
    late = simulated({"first_token": duration(6)})
    breaks = simulated({"fault": [{"kind": "cut_in_word", "probability": 1.0}]})
    good = simulated({})
    served = gateway(config_text([openai_backend(name, one.port) for name, one in (("a", late), ("b", breaks), ("c", good))],
                                 route("ordered", target("a"), target("b"), target("c"), hedge=duration(0.1))))
    got = stream_chat(served.port, chat_body(stream=True, max_tokens=40))
    assert got.done == 1 and got.roles == ["assistant"] and not got.errors
    (line,) = map(json.loads, served.access_log_lines(1))
    assert [one["class"] for one in line["attempts"]][:2] == ["outrun", "cut"] and line["attempts"][-1]["class"] == "answered"
