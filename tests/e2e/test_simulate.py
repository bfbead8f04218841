"""`spillway simulate`, as its user runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from clock import eventually
from gateway import binary, run
from http_client import CHAT, Connection, call, chat, chat_body, get, open_stream, stream_chat
from simulated import Simulated

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def simulate(tmp_path):
    started: list[Simulated] = []

    def start(*arguments: str, **profile) -> Simulated:
        started.append(Simulated(tmp_path / f"simulated-{len(started)}", profile, arguments))
        return started[-1]
    yield start
    for one in started:
        one.stop()


def test_it_streams_counts_and_says_the_same_whole(simulate):
    one = simulate()
    got = stream_chat(one.port, chat_body(stream=True, stream_options={"include_usage": True}))
    assert (got.roles, got.finish_reasons, got.done) == (["assistant"], ["stop"], 1)
    usage = got.chunks[-1]["usage"]
    whole = chat(one.port)
    assert whole.json["choices"][0]["message"]["content"] == got.text
    assert whole.json["usage"] == usage and usage["completion_tokens"] >= 40
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert get(one.port, "/v1/models").json["data"][0]["id"] == "simulated-1"


def test_the_same_seed_is_the_same_run_and_another_is_not(simulate):
    def run_of(*arguments: str) -> list:
        one = simulate(*arguments, fault=[{"kind": "503", "probability": 0.4}], first_token="0ms", tokens_per_second=0)
        return [(got.status, got.body and got.json.get("choices", [{}])[0].get("message")) for got in (chat(one.port, chat_body(f"q{i}")) for i in range(30))]
    first = run_of("--seed", "7")
    assert first == run_of("--seed", "7") and first != run_of("--seed", "8")
    assert 4 < [status for status, _ in first].count(503) < 22


def test_it_records_what_it_was_sent_and_keeps_no_key(simulate):
    one = simulate(api_key="sk-secret-1")
    assert chat(one.port).status == 401
    assert chat(one.port, headers=[("Authorization", "Bearer sk-secret-1")]).status == 200
    records = one.requests
    assert [record["status"] for record in records] == [401, 200] and json.loads(records[0]["body"]) == chat_body()
    assert records[1]["authorization"] == "Bearer (11 bytes)" and "sk-secret" not in json.dumps(records)


def test_a_client_that_leaves_is_noticed(simulate):
    one = simulate(tokens_per_second=20)
    with Connection(one.port) as connection:
        open_stream(connection, chat_body(stream=True)).next()
    eventually("it is counted", lambda: one.stats["clients_left"] == 1, 2)
    (record,) = one.requests
    assert record["end"] == "client_left" and record["tokens"] < 40


def test_a_script_on_the_command_line(simulate):
    one = simulate("--script", "ok,429,reset")
    assert [chat(one.port).status for _ in range(2)] == [200, 429]
    got = stream_chat(one.port)
    assert got.torn and got.done == 0
    eventually("each request is told", lambda: len(one.lines) == 4, 2)
    assert "#1 429 broken by 429" in one.lines[2] and "broken by reset" in one.lines[3]


def test_a_day_has_its_peak(simulate):
    busy = simulate(day={"length": "24m", "starts_at": "10:30", "error_rate": 0.5}, first_token="0ms", tokens_per_second=0)
    calm = simulate(day={"length": "24m", "starts_at": "12:30", "error_rate": 0.5}, first_token="0ms", tokens_per_second=0)
    assert 15 < [chat(busy.port).status for _ in range(60)].count(503) < 45
    assert [chat(calm.port).status for _ in range(20)] == [200] * 20
    assert 10.5 * 60 <= busy.stats["time_of_day"] < 11 * 60


@pytest.mark.parametrize("status,early", [(413, "early_413"), (429, "early_429")])
def test_an_early_refusal_comes_while_the_body_is_being_sent(simulate, status, early):
    one = simulate("--script", early)
    with Connection(one.port) as connection:
        connection.send(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 1000)
        assert connection.read_head().status == status


@pytest.mark.parametrize("request_", [("GET", "/nothing", None), ("POST", "/v1/embeddings", b"{}"), ("POST", CHAT, b"{")],
                         ids=["page", "endpoint", "body"])
def test_what_it_does_not_know_is_a_clean_4xx(simulate, request_):
    got = call(simulate().port, *request_)
    assert got.status in (400, 404) and got.error["message"]


def test_a_profile_that_makes_no_sense_is_refused_with_its_place_and_a_mend(tmp_path):
    file = tmp_path / "peak.toml"
    file.write_text('first_tokn = "1s"\n[[fault]]\nkind = "rest"\nprobability = 2\n')
    got = run("simulate", "--profile", str(file), home=tmp_path)
    assert got.returncode == 2 and got.stdout == ""
    assert f"{file}:1:1: error: `first_tokn`" in got.stderr and "did you mean `first_token`?" in got.stderr
    assert f"{file}:3:8: error" in got.stderr and "did you mean \"reset\"?" in got.stderr and f"{file}:4:15: error" in got.stderr
    assert "3 mistakes" in got.stderr


@pytest.mark.parametrize("arguments", [["--script", "rest"], ["--listen", "here"], ["--profile", "/nowhere.toml"]])
def test_wrong_usage_is_told(tmp_path, arguments):
    got = run("simulate", *arguments, home=tmp_path)
    assert got.returncode == 2 and "error: " in got.stderr


def test_a_port_that_is_taken_is_told(tmp_path, simulate):
    got = run("simulate", "--listen", f"127.0.0.1:{simulate().port}", home=tmp_path)
    assert got.returncode == 1 and "cannot listen" in got.stderr


def test_the_documentation_is_that_of_the_program():
    tables = subprocess.run([str(binary()), "simulate", "--documentation"], capture_output=True, text=True, check=True).stdout
    text = (REPOSITORY / "docs" / "simulate.md").read_text()
    assert tables in text, "put the output of `spillway simulate --documentation` between the markers of docs/simulate.md"


def test_what_it_has_answered_is_told_at_its_end(tmp_path, simulate):
    one = simulate("--json", "--script", "ok,503")
    assert [chat(one.port).status for _ in range(2)] == [200, 503]
    one.stop()
    told = json.loads(one.lines[-1])
    assert (told["requests"], told["answered"], told["broken"]) == (2, 1, 1)
