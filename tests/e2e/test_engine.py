"""The real engine as a child process: start, waiting requests, death and return, no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

from clock import eventually, slow
from gateway import Gateway, binary, cache_dir, clean_environment, config_text, local_backend, openai_backend, run
from http_client import JSON, Connection, call, chat, chat_body, get, open_stream, stream_chat
from processes import alive, engines
from simulated import Simulated

pytestmark = pytest.mark.timeout(90)
LONG = chat_body("Tell me a very long story about a river.", stream=True, max_tokens=1800, temperature=0, ignore_eos=True)
SHORT = chat_body("Say hello.", max_tokens=8, temperature=0)


def only_engine(gateway: Gateway) -> int:
    return eventually("one llama-server runs", lambda: len(found := engines(gateway.pid)) == 1 and found, 10)[0]


def test_readyz_turns_200_when_the_engine_can_answer(gateway, model_file, held_engine):
    env, gate = held_engine
    served = gateway(config_text([local_backend(str(model_file))]), env=env)
    early = get(served.port, "/readyz")
    assert (early.status, early.header("retry-after"), early.json["status"]) == (503, "1", "waiting")
    gate.touch()
    served.wait_until_ready()
    got = chat(served.port, SHORT)
    assert got.status == 200 and got.text.strip() and got.header("x-spillway-backend") == "local"


def test_requests_that_come_while_the_engine_loads_wait_and_are_answered(gateway, model_file):
    served = gateway(config_text([local_backend(str(model_file))]), wait=False)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(chat(served.port, SHORT, timeout=40))) for _ in range(4)]
    served.port  # waits for the address, not for the engine
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got.status for got in answers] == [200] * 4
    assert all(got.text.strip() for got in answers)


def test_a_stream_of_the_real_engine_is_whole(real_engine):
    got = stream_chat(real_engine.port, {**SHORT, "stream": True}, timeout=20)
    assert got.text.strip() and got.roles == ["assistant"] and len(got.finish_reasons) == 1 and got.done == 1


def test_ten_answers_at_once_from_two_slots(real_engine):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(chat(real_engine.port, SHORT, timeout=40))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got.status for got in answers] == [200] * 10


def test_a_killed_engine_breaks_its_stream_within_100_ms_and_comes_back_by_itself(gateway, model_file):
    served = gateway(config_text([local_backend(str(model_file))])).wait_until_ready()
    before = only_engine(served)
    with Connection(served.port, timeout=20) as connection:
        reader = open_stream(connection, LONG)
        for _ in range(5):
            reader.next()
        os.kill(before, signal.SIGKILL)
        killed = time.monotonic()
        got = reader.rest()
    assert got.text and got.done == 0 and got.torn is None
    assert [error["code"] for error in got.errors] == ["stream_broken"]
    assert got.times[-1] - killed < slow(0.1)
    eventually("a new engine runs", lambda: [pid for pid in engines(served.pid) if pid != before], 15)
    again = eventually("it answers again", lambda: (got := chat(served.port, SHORT, timeout=30)).status == 200 and got, 30)
    assert again.text.strip()
    assert not alive(before)


def test_a_killed_engine_s_answer_goes_on_at_a_provider(gateway, model_file, tmp_path):
    provider = Simulated(tmp_path / "simulated", {})
    served = gateway(config_text([local_backend(str(model_file)), openai_backend("cloud", provider.port)]))
    eventually("the engine is ready", lambda: get(served.admin_port, "/admin/v1/status").json["backends"][0]["state"] == "ready", 30)
    with Connection(served.port, timeout=20) as connection:
        reader = open_stream(connection, LONG)
        for _ in range(20):
            reader.next()
        os.kill(only_engine(served), signal.SIGKILL)
        got = reader.rest()
    assert got.torn is None and got.errors == [] and (len(got.roles), got.done) == (1, 1)
    told = json.loads(provider.requests[-1]["body"])["messages"][-1]
    assert told["role"] == "assistant" and len(told["content"]) > 20
    assert got.text.startswith(told["content"]) and len(got.text) > len(told["content"])
    assert any('"backend":"cloud"' in comment for comment in got.comments)
    provider.stop()


def test_the_demo_shows_a_provider_killed_and_the_engine_going_on(engine_data, tmp_path):
    env = {**clean_environment(tmp_path), "SPILLWAY_DATA": str(engine_data)}
    demo = Path(__file__).resolve().parents[2] / "script/lib/demo.py"
    got = subprocess.run([sys.executable, str(demo), str(binary())], env=env, capture_output=True, text=True, timeout=slow(60))
    assert got.returncode == 0, got.stdout + got.stderr
    assert "kill -9 [cut: local goes on]" in got.stdout and "One answer: 1 id, finish_reason" in got.stdout
    assert "1 cut; last: cut 200" in got.stdout


def test_an_engine_that_dies_while_idle_comes_back(gateway, model_file):
    served = gateway(config_text([local_backend(str(model_file))])).wait_until_ready()
    before = only_engine(served)
    os.kill(before, signal.SIGKILL)
    eventually("a new engine runs", lambda: [pid for pid in engines(served.pid) if pid != before], 15)
    served.wait_until_ready()
    assert chat(served.port, SHORT, timeout=30).status == 200


def test_a_cloud_target_answers_while_the_engine_is_away(gateway, upstream, model_file):
    served = gateway(config_text([local_backend(str(model_file)), openai_backend("cloud", upstream.port)])).wait_until_ready()
    os.kill(only_engine(served), signal.SIGKILL)
    got = chat(served.port, SHORT, timeout=30)
    assert got.status == 200 and got.header("x-spillway-backend") in ("cloud", "local")


def test_several_prompts_and_choices_find_slots_beside_those_that_are_chosen(gateway, model_file):
    served = gateway(config_text([{**local_backend(str(model_file)), "parallel": 3}])).wait_until_ready()
    with Connection(served.port, timeout=40) as connection:
        reader = open_stream(connection, LONG)
        reader.next()
        prompts = {"model": "m", "prompt": ["One, two,", "A, B,"], "max_tokens": 4}
        got = call(served.port, "POST", "/v1/completions", prompts, [JSON], timeout=40)
        assert got.status == 200 and len(got.json["choices"]) == 2
        got = chat(served.port, {**SHORT, "n": 2}, timeout=40)
        assert got.status == 200 and len(got.json["choices"]) == 2
        assert reader.next() is not None


def test_a_reload_with_another_engine_keeps_the_stream_and_tells_of_each_backend_once(gateway, model_file):
    served = gateway(config_text([local_backend(str(model_file))], server={"drain_timeout": "30s"}))
    served.wait_until_ready()
    old = only_engine(served)
    with Connection(served.port, timeout=40) as connection:
        reader = open_stream(connection, LONG)
        reader.next()
        served.config_file.write_text(config_text([local_backend(str(model_file), context=1024)], server={"drain_timeout": "30s"}))
        served.signal(signal.SIGHUP)

        def status() -> dict:
            (local,) = json.loads(get(served.admin_port, "/admin/v1/status").body)["backends"]
            return local

        def new_one_answers() -> bool:
            served.metrics()  # which fails on a series that appears twice
            assert status()["state"] == "ready"
            return status()["pid"] != old and len(engines(served.pid)) == 2

        eventually("the new engine takes over while the old one ends its answer", new_one_answers, 20)
        assert chat(served.port, SHORT, timeout=40).status == 200
        assert alive(old)
    eventually("the old engine has ended", lambda: engines(served.pid) == [status()["pid"]], 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_no_engine_is_left_when_the_gateway_ends(gateway, model_file, number):
    served = gateway(config_text([local_backend(str(model_file))])).wait_until_ready()
    engine = only_engine(served)
    served.signal(number)
    code = served.wait()
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    eventually("the engine is gone", lambda: not alive(engine), 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_engine_is_left_when_the_gateway_ends_while_it_loads(gateway, model_file, number):
    served = gateway(config_text([local_backend(str(model_file))]), wait=False)
    engine = only_engine(served)
    served.signal(number)
    served.wait()
    eventually("the engine is gone", lambda: not alive(engine), 3)


def test_sigterm_lets_a_running_answer_of_the_engine_end(gateway, model_file):
    served = gateway(config_text([local_backend(str(model_file))], server={"drain_timeout": "20s"})).wait_until_ready()
    body = {**LONG, "max_tokens": 40}
    with Connection(served.port, timeout=20) as connection:
        reader = open_stream(connection, body)
        reader.next()
        served.signal(signal.SIGTERM)
        got = reader.rest()
    assert got.done == 1 and got.errors == []
    assert served.wait() == 0


# --- what cannot start -----------------------------------------------------------------------------------------

def refused(gateway, config: str, env=None) -> Gateway:
    """`serve` must end by itself, not with 0, and leave no process behind."""
    served = gateway(config, env=env, wait=False)
    served.wait(30)
    assert served.returncode in (1, 2), served.output
    assert engines(served.pid) == []
    return served


def test_a_model_that_is_not_in_the_store_is_named(gateway):
    served = refused(gateway, config_text([local_backend("nosuch:1b")]))
    assert "nosuch:1b" in served.stderr and "spillway import" in served.stderr
    assert not any("listening" in line for line in served.stdout_lines)


def test_a_model_file_that_is_not_there_is_named(gateway, tmp_path):
    served = refused(gateway, config_text([local_backend(str(tmp_path / "away.gguf"))]))
    assert "away.gguf" in served.stderr


@pytest.mark.parametrize("keep", [0, 3, 100, 100_000, 50_000_000], ids=lambda keep: f"{keep} bytes")
def test_a_truncated_model_is_told_as_such(gateway, tmp_path, model_file, keep):
    broken = tmp_path / "broken.gguf"
    with model_file.open("rb") as source:
        broken.write_bytes(source.read(keep))
    served = refused(gateway, config_text([local_backend(str(broken))]))
    assert "broken.gguf" in served.stderr


def test_a_file_that_is_no_model_is_told_as_such(gateway, tmp_path):
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"PK\x03\x04" + os.urandom(4096))
    served = refused(gateway, config_text([local_backend(str(wrong))]))
    assert "wrong.gguf" in served.stderr and "GGUF" in served.stderr


def test_a_missing_engine_is_told_with_the_mend(gateway, tmp_path, model_file):
    nowhere = str(tmp_path / "nowhere")
    served = refused(gateway, config_text([local_backend(str(model_file))]),
                     env={"PATH": nowhere, "SPILLWAY_CACHE": nowhere, "HOME": nowhere})
    assert "llama-server" in served.stderr and "script/setup" in served.stderr


# --- without any config ----------------------------------------------------------------------------------------

def order_of_targets(text: str) -> list[str]:
    """The Backends of the printed config's first route, in order."""
    return [target["backend"] for target in tomllib.loads(text)["route"][0]["targets"]]


def test_without_config_and_keys_the_local_model_is_served(tmp_path):
    got = run("check", "--print", home=tmp_path)
    assert got.returncode == 0, got.stderr
    assert order_of_targets(got.stdout) == ["local"] and "smollm2:135m" in got.stdout


def test_a_key_of_deepseek_puts_it_before_the_local_model(tmp_path):
    got = run("check", "--print", home=tmp_path, env={"DEEPSEEK_API_KEY": "sk-very-secret"})
    assert got.returncode == 0, got.stderr
    assert order_of_targets(got.stdout) == ["deepseek", "local"]
    assert "https://api.deepseek.com" in got.stdout and "DEEPSEEK_API_KEY" in got.stdout
    assert "very-secret" not in got.stdout + got.stderr


def test_status_tells_of_the_replica(real_engine):
    got = run("--config", str(real_engine.config_file), "status", "--json", "--admin", f"127.0.0.1:{real_engine.admin_port}",
              home=real_engine.home)
    assert got.returncode == 0, got.stderr
    assert "local" in json.dumps(json.loads(got.stdout))
