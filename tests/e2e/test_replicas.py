"""Several Replicas behind one Backend: one that dies under streams loses none of them, and a conversation stays where it is warm."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from clock import eventually
from gateway import config_text, local_backend, run
from http_client import Connection, chat, chat_body, get, open_stream, stream_chat
from processes import engines

pytestmark = pytest.mark.timeout(120)


def replicas(served) -> dict[str, dict]:
    return {each["name"]: each for each in get(served.admin_port, "/admin/v1/status").json["backends"]}


def wait_for_all(served, count: int) -> None:
    eventually("all replicas are ready", lambda: sum(each["state"] == "ready" for each in replicas(served).values()) == count, 60)


def test_a_backend_with_replicas_runs_so_many_engines_and_is_one_to_clients(gateway, model_file, tmp_path):
    served = gateway(config_text([{**local_backend(str(model_file)), "replicas": 2}]))
    wait_for_all(served, 2)
    assert set(replicas(served)) == {"local/1", "local/2"} and len(engines(served.pid)) == 2
    got = chat(served.port, chat_body("hi", max_tokens=4))
    assert got.status == 200 and got.header("x-spillway-backend") == "local"
    shown = json.loads(run("ps", "--json", "--admin", f"127.0.0.1:{served.admin_port}", home=tmp_path).stdout)
    assert [each["backend"] for each in shown] == ["local/1", "local/2"]


def test_a_replica_that_is_killed_under_20_streams_loses_none_of_them(gateway, model_file):
    served = gateway(config_text([{**local_backend(str(model_file)), "replicas": 2, "parallel": 10, "context": 512}]))
    wait_for_all(served, 2)
    body = [chat_body(f"Tell me story number {i}.", stream=True, max_tokens=30, temperature=0, ignore_eos=True) for i in range(20)]
    results = []
    threads = [threading.Thread(target=lambda one=one: results.append(stream_chat(served.port, one, timeout=100))) for one in body]
    for thread in threads:
        thread.start()
    eventually("both are busy", lambda: all(each["in_flight"] >= 5 for each in replicas(served).values()), 30)
    victim = replicas(served)["local/1"]
    os.kill(victim["pid"], signal.SIGKILL)
    eventually("it is back", lambda: (now := replicas(served)["local/1"])["state"] == "ready" and now["pid"] != victim["pid"], 15)
    for thread in threads:
        thread.join()
    assert len(results) == 20
    assert all(each.done and not each.errors and each.finish_reasons == ["length"] for each in results), [each.errors for each in results]


def test_a_conversation_stays_with_the_replica_that_has_its_beginning(gateway, model_file):
    served = gateway(config_text([{**local_backend(str(model_file)), "replicas": 2}]))
    wait_for_all(served, 2)
    system = {"role": "system", "content": "You are a helpful gardener. " * 60}
    messages = [system]
    cached = []
    for turn in range(4):
        messages.append({"role": "user", "content": f"Question {turn}: what do roses need?"})
        got = chat(served.port, {"model": "m", "messages": messages, "max_tokens": 8, "temperature": 0})
        assert got.status == 200
        cached.append(got.json["timings"]["cache_n"])
        messages.append({"role": "assistant", "content": got.text})
    assert all(each > 300 for each in cached[1:]), cached
    answered = {name: sum(count["count"] for count in each["attempts"]) for name, each in replicas(served).items()}
    assert sorted(answered.values()) == [0, 4], answered


def test_conversations_with_one_system_prompt_keep_a_slot_each(gateway, model_file):
    backend = {**local_backend(str(model_file)), "parallel": 4, "context": 1024, "engine_args": ["--cache-ram", "0"]}
    served = gateway(config_text([backend])).wait_until_ready()
    system = {"role": "system", "content": "You are a helpful gardener. " * 20}
    talks = [[system, {"role": "user", "content": f"I am number {number}. " + f"My garden has bed {number}. " * 30}] for number in range(4)]

    def computed(messages: list) -> int:
        got = chat(served.port, {"model": "m", "messages": messages, "max_tokens": 8, "temperature": 0}, timeout=60)
        assert got.status == 200
        messages += [{"role": "assistant", "content": got.text}, {"role": "user", "content": "And what do roses need?"}]
        return got.json["timings"]["prompt_n"]

    first = [computed(messages) for messages in talks]
    assert min(first) > 200, first
    again = [computed(messages) for messages in talks]
    assert max(again) < 60, (first, again)


def test_an_engine_goes_on_where_its_backend_gets_another_replica_and_loses_it(gateway, model_file):
    backend = local_backend(str(model_file))
    served = gateway(config_text([backend])).wait_until_ready()
    (engine,) = engines(served.pid)

    def reload(**more) -> None:
        served.config_file.write_text(config_text([{**backend, **more}]))
        served.signal(signal.SIGHUP)

    with Connection(served.port, timeout=40) as connection:
        reader = open_stream(connection, chat_body("Tell a story.", stream=True, max_tokens=200, ignore_eos=True))
        reader.next()
        reload(replicas=2)
        eventually("the engine is the first Replica", lambda: replicas(served).get("local/1", {}).get("pid") == engine, 10, every=0.02)
        assert replicas(served)["local/1"]["state"] == "ready"
        assert chat(served.port, chat_body("hi", max_tokens=2), timeout=60).status == 200
        got = reader.rest()
    assert got.done and not got.errors
    wait_for_all(served, 2)
    reload()
    eventually("it has its old name", lambda: replicas(served).get("local", {}).get("pid") == engine, 10)
    eventually("it is the only one", lambda: engines(served.pid) == [engine], 20)
    assert chat(served.port, chat_body("hi", max_tokens=2), timeout=60).status == 200
    os.kill(engine, signal.SIGKILL)
    eventually("another one runs in its place", lambda: engines(served.pid) not in ([], [engine]), 20)
    served.wait_until_ready()


def test_requests_without_a_common_beginning_are_spread(gateway, model_file):
    served = gateway(config_text([{**local_backend(str(model_file)), "replicas": 2, "balance": "least"}]))
    wait_for_all(served, 2)
    threads = [threading.Thread(target=lambda i=i: chat(served.port, chat_body(f"{i}", max_tokens=40, ignore_eos=True), timeout=60)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    def answered() -> list[int]:
        return [sum(count["count"] for count in each["attempts"]) for each in replicas(served).values()]

    eventually("all are counted", lambda: sum(answered()) == 8, 2)
    assert min(answered()) >= 3, answered()


def test_replicas_that_do_not_fit_together_are_refused(tmp_path, model_file):
    # Each a tenth of this machine: a slot of 8,192 tokens takes 180 MiB.
    total = next(int(line.split()[1]) << 10 for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    backend = {**local_backend(str(model_file)), "replicas": 16, "context": 8192, "parallel": max(1, min(1024, total // 10 // (180 << 20)))}
    (tmp_path / "spillway.toml").write_text(config_text([backend]))
    got = run("serve", home=tmp_path, timeout=20)
    assert got.returncode != 0 and "together" in got.stderr and "local/16" in got.stderr


def test_an_engine_that_hangs_is_ended_and_its_streams_go_on_elsewhere(gateway, model_file):
    served = gateway(config_text([{**local_backend(str(model_file)), "replicas": 2, "parallel": 4, "context": 512, "hang_timeout": "3s"}]))
    wait_for_all(served, 2)
    results = []
    bodies = [chat_body(f"Tell me story {i}.", stream=True, max_tokens=40, temperature=0, ignore_eos=True) for i in range(8)]
    threads = [threading.Thread(target=lambda one=one: results.append(stream_chat(served.port, one, timeout=100))) for one in bodies]
    for thread in threads:
        thread.start()
    eventually("both are busy", lambda: all(each["in_flight"] >= 2 for each in replicas(served).values()), 30)
    victim = replicas(served)["local/1"]["pid"]
    os.kill(victim, signal.SIGSTOP)
    eventually("it is back", lambda: (now := replicas(served)["local/1"])["state"] == "ready" and now["pid"] != victim, 30)
    assert "it hangs" in replicas(served)["local/1"]["detail"]
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(each.done and not each.errors for each in results), [each.errors for each in results]


def test_the_streams_of_a_drained_replica_are_carried_over(gateway, model_file):
    config = config_text([{**local_backend(str(model_file)), "replicas": 2, "parallel": 2}], server={"drain_timeout": "1s"})
    served = gateway(config)
    wait_for_all(served, 2)
    results = []
    body = chat_body("Tell me a story.", stream=True, max_tokens=90, temperature=0, ignore_eos=True)
    threads = [threading.Thread(target=lambda: results.append(stream_chat(served.port, body, timeout=100))) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually("both are busy", lambda: all(each["in_flight"] >= 1 for each in replicas(served).values()), 30)
    before = {each["pid"] for each in replicas(served).values()}
    served.config_file.write_text(config.replace("context = 2048", "context = 1024"))
    served.signal(signal.SIGHUP)
    eventually("the old ones are gone", lambda: not before & set(engines(served.pid)), 60)
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(each.done and not each.errors for each in results), [each.errors for each in results]
    assert all(each.finish_reasons == ["length"] for each in results)
    assert "resume" in served.metrics() and before.isdisjoint(each["pid"] for each in replicas(served).values())
