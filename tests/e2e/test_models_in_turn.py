"""Several Models behind one Backend: the one that is asked for is loaded, idle ones make way, busy ones are left alone."""

from __future__ import annotations

import json
import threading
import time

import pytest

from clock import eventually
from gateway import cache_dir, config_text, local_backend, openai_backend, run
from http_client import chat, chat_body, get, open_stream, stream_chat
from processes import engines

pytestmark = pytest.mark.timeout(120)
MIB = 1 << 20


@pytest.fixture(scope="module")
def three(tmp_path_factory, model_file):
    """A data folder with one:1, two:1 and three:1: the same weights, thrice."""
    home = tmp_path_factory.mktemp("three")
    for name in ("one:1", "two:1", "three:1"):
        got = run("--data", str(home / "data"), "import", str(model_file), name, home=home, timeout=30)
        assert got.returncode == 0, got.stderr
    return home / "data"


def taking_turns(**more) -> dict:
    backend = {**local_backend(""), "models": ["one:1", "two:1", "three:1"], "context": 1024, "parallel": 2, **more}
    del backend["model"]
    return backend


def memory_of_one(home, data) -> int:
    got = run("--data", str(data), "show", "one:1", "--context", "1024", "--parallel", "2", "--json", home=home)
    return json.loads(got.stdout)["memory"]["total"]


def states(served) -> dict[str, str]:
    return {each["model"]: each["state"] for each in get(served.admin_port, "/admin/v1/status").json["backends"] if each["model"]}


def ask(served, model: str, **more):
    return chat(served.port, chat_body("Say hello.", model=model, max_tokens=4, temperature=0, **more), timeout=60)


def test_the_model_that_a_request_names_is_loaded_and_answers(gateway, three):
    served = gateway(config_text([taking_turns()]), data=three)
    assert get(served.port, "/readyz").status == 200 and engines(served.pid) == []
    assert states(served) == dict.fromkeys(("one:1", "two:1", "three:1"), "unloaded")
    got = ask(served, "two:1")
    assert got.status == 200 and got.header("x-spillway-backend") == "local" and got.json["model"] == "two:1"
    assert states(served)["two:1"] == "ready" and len(engines(served.pid)) == 1
    assert ask(served, "anything else").json["model"] == "one:1"  # the first one answers for names that none has
    listed = {each["id"] for each in get(served.port, "/v1/models").json["data"]}
    assert {"one:1", "two:1", "three:1"} <= listed


def test_the_least_recently_used_makes_way_where_there_is_room_for_two(gateway, three, tmp_path):
    room = int(memory_of_one(tmp_path, three) * 2.5)
    served = gateway(config_text([taking_turns(memory=f"{room}B")]), data=three)
    assert ask(served, "one:1").status == 200 and ask(served, "two:1").status == 200 and ask(served, "one:1").status == 200
    before = time.monotonic()
    assert ask(served, "three:1").status == 200
    assert time.monotonic() - before < 30
    assert states(served) == {"one:1": "ready", "two:1": "unloaded", "three:1": "ready"}
    eventually("two engines are left", lambda: len(engines(served.pid)) == 2, 10)


def test_a_busy_model_is_not_ended_for_another(gateway, three, tmp_path):
    room = int(memory_of_one(tmp_path, three) * 1.5)
    served = gateway(config_text([taking_turns(memory=f"{room}B")]), data=three)
    assert ask(served, "one:1").status == 200
    long = chat_body("Tell me a very long story about a river.", model="one:1", stream=True, max_tokens=250, temperature=0, ignore_eos=True)
    stories = []
    story = threading.Thread(target=lambda: stories.append(stream_chat(served.port, long, timeout=100)))
    story.start()
    eventually("it tells its story", lambda: any(each["in_flight"] for each in get(served.admin_port, "/admin/v1/status").json["backends"]), 10)
    other = ask(served, "two:1")
    story.join()
    assert other.status == 200 and other.json["model"] == "two:1"
    assert stories[0].finish_reasons == ["length"] and stories[0].done and not stories[0].errors
    assert states(served) == {"one:1": "unloaded", "two:1": "ready", "three:1": "unloaded"}


def test_those_who_wait_for_one_model_are_served_together(gateway, three, tmp_path):
    room = int(memory_of_one(tmp_path, three) * 1.5)
    served = gateway(config_text([taking_turns(memory=f"{room}B")]), data=three)
    answers = []
    threads = [threading.Thread(target=lambda name=name: answers.append((name, ask(served, name))))
               for _ in range(6) for name in ("one:1", "two:1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12 and all(got.status == 200 and got.json["model"] == name for name, got in answers)
    loads = served.stderr.count(": starting llama-server")
    assert loads <= 4, served.stderr  # each once, or with a straggler twice: not once for each request


def test_a_model_that_is_not_loaded_is_missed_where_another_backend_answers(gateway, three, upstream):
    from replies import answer
    upstream.script(answer("from the cloud"))
    route = {"model": "*", "targets": [{"backend": "local"}, {"backend": "cloud", "model": "m"}]}
    served = gateway(config_text([taking_turns(), openai_backend("cloud", upstream.port)], [route]), data=three)
    assert ask(served, "three:1").text == "from the cloud"
    eventually("it was loaded all the same", lambda: states(served)["three:1"] == "ready", 30)
    assert ask(served, "three:1").json["model"] == "three:1"


def test_an_idle_model_is_unloaded_after_a_while(gateway, three):
    served = gateway(config_text([taking_turns(unload_after="1s")]), data=three)
    assert ask(served, "one:1").status == 200
    eventually("it is unloaded", lambda: states(served)["one:1"] == "unloaded" and engines(served.pid) == [], 20)
    assert ask(served, "one:1").status == 200


def test_a_model_that_cannot_be_loaded_does_not_keep_the_room(gateway, three, tmp_path):
    broken = tmp_path / "llama-server"
    real = cache_dir() / "engine/current/bin/llama-server"
    broken.write_text(f'#!/bin/sh\ncase "$*" in *two_1*|*two:1*) echo "error: it is broken" >&2; exit 1;; esac\nexec "{real}" "$@"\n')
    broken.chmod(0o755)
    room = int(memory_of_one(tmp_path, three) * 1.5)
    served = gateway(config_text([taking_turns(memory=f"{room}B")]), data=three, env={"SPILLWAY_LLAMA_SERVER": str(broken)})
    assert ask(served, "two:1").status >= 500
    assert ask(served, "one:1").status == 200


def test_mistakes_are_told(tmp_path):
    for more, words in (({"models": ["a:1", "a:1"]}, "twice"), ({"models": ["a:1"], "model": "b:1"}, "none of models"),
                        ({"model": "a:1", "unload_after": "1s"}, "is for a backend with models")):
        backend = {"name": "local", "engine": "llama.cpp", **more}
        (tmp_path / "spillway.toml").write_text(config_text([backend]))
        got = run("check", home=tmp_path)
        assert got.returncode == 2 and words in got.stderr
