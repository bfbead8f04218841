"""Engines that need a GPU, by programs of their names that behave as they do; engines that somebody else runs, by their metrics;
and what a model takes, before and after a load."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import model_shapes
from clock import eventually, slow
from gateway import REPOSITORY, config_text, local_backend, openai_backend, run
from http_client import chat, chat_body, get

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded, pytest.mark.timeout(60)]
RECORDED = REPOSITORY / "tests/fleet/engines"

STAND_IN = '''#!{python}
"""Stands in for an engine: says how it was called, loads for a moment, and answers."""
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

arguments = sys.argv[1:]
with open("{record}", "a") as out:
    out.write(json.dumps({{"arguments": arguments, "environment": dict(os.environ)}}) + "\\n")
port = int(arguments[arguments.index("--port") + 1] if "--port" in arguments else os.environ["OLLAMA_HOST"].split(":")[1])
key = os.environ.get("VLLM_API_KEY") or (arguments[arguments.index("--api-key") + 1] if "--api-key" in arguments else "")
ready = time.monotonic() + 0.3

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        known = self.path == "{health}"
        self.answer((200 if time.monotonic() > ready else 503) if known else 404, b"")
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if key and self.headers["Authorization"] != "Bearer " + key:
            return self.answer(401, b"{{}}")
        message = {{"role": "assistant", "content": "from " + asked["model"]}}
        self.answer(200, json.dumps({{"id": "1", "object": "chat.completion", "created": 1, "model": asked["model"],
                                     "choices": [{{"index": 0, "message": message, "finish_reason": "stop"}}],
                                     "usage": {{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}}}).encode())

ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


def write_stand_in(folder: Path, program: str, health: str = "/health") -> Path:
    folder.mkdir(exist_ok=True)
    record = folder / f"{program}.calls"
    path = folder / program
    path.write_text(STAND_IN.format(python=sys.executable, record=record, health=health))
    path.chmod(0o755)
    return record


@pytest.fixture
def weights(tmp_path) -> Path:
    """A folder as Hugging Face has them."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    return folder


@pytest.mark.parametrize("engine, program, options", [
    ("vllm", "vllm", ["serve", "--max-model-len", "2048", "--max-num-seqs", "2"]),
    ("tensorrt-llm", "trtllm-serve", ["serve", "--max_seq_len", "2048", "--max_batch_size", "2"]),
    ("sglang", "sglang-python", ["-m", "sglang.launch_server", "--context-length", "2048", "--enable-metrics"]),
    ("ollama", "ollama", ["serve"]),
])
def test_an_engine_is_started_watched_and_asked(gateway, tmp_path, weights, engine, program, options):
    record = write_stand_in(tmp_path / "bin", program, "/api/version" if engine == "ollama" else "/health")
    model = "qwen:7b" if engine == "ollama" else str(weights)
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "SPILLWAY_SGLANG_PYTHON": str(tmp_path / "bin" / program),
           "DEEPSEEK_API_KEY": "sk-not-for-engines"}
    served = gateway(config_text([{**local_backend(model), "engine": engine}]), env=env)
    served.wait_until_ready()
    got = chat(served.port, chat_body("hi"))
    assert got.status == 200 and got.text == f"from {model}"
    call = json.loads(record.read_text().splitlines()[0])
    assert [word for word in options if word in call["arguments"]] == options
    assert "sk-not-for-engines" not in json.dumps(call)
    shown = json.loads(run("ps", "--json", "--admin", f"127.0.0.1:{served.admin_port}", home=tmp_path).stdout)
    assert [(each["engine"], each["state"], each["model"]) for each in shown] == [(engine, "ready", model)]


@pytest.mark.parametrize("engine, model, words", [
    ("vllm", "/nowhere", "/nowhere has no config.json"), ("vllm", "not a repository", "neither a folder nor a repository"),
    ("tensorrt-llm", "org/model", "no trtllm-serve in PATH")])
def test_what_an_engine_lacks_is_told_before_anything_starts(tmp_path, engine, model, words):
    write_stand_in(tmp_path / "bin", "vllm")
    (tmp_path / "spillway.toml").write_text(config_text([{**local_backend(model), "engine": engine}]))
    got = run("serve", home=tmp_path, env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    assert got.returncode != 0 and words in got.stderr and "mend: " in got.stderr


# --- engines that somebody else runs -----------------------------------------------------------------------------------

class Metered:
    """A server of the OpenAI API that tells `metrics`."""

    def __init__(self, metrics: str, name: str, path: str = "/metrics"):
        self.metrics = metrics
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                outer.asked += self.path == path
                self.answer(200, outer.metrics.encode()) if self.path == path else self.answer(404, b"")

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(200, json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": name, "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": f"from {name}"}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


IDLE = "vllm:num_requests_running 1\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0.5\n"


def status_of(served, name: str) -> dict:
    return next(each for each in get(served.admin_port, "/admin/v1/status").json["backends"] if each["name"] == name)


@pytest.mark.parametrize("policy", ["ordered", "latency"])
def test_requests_go_past_an_engine_that_has_a_queue(gateway, policy):
    with Metered(IDLE, "a") as first, Metered(IDLE, "b") as second:
        backends = [{**openai_backend(name, each.port), "engine": "vllm"} for name, each in (("a", first), ("b", second))]
        route = {"model": "*", "policy": policy, "targets": [{"backend": "a", "model": "m"}, {"backend": "b", "model": "m"}]}
        served = gateway(config_text(backends, [route]))
        eventually("both tell their load", lambda: status_of(served, "a")["reports"] and status_of(served, "b")["reports"], 10)
        if policy == "ordered":
            assert chat(served.port, chat_body("x")).text == "from a"
        first.metrics = (RECORDED / "vllm.metrics").read_text()
        eventually("its queue is known", lambda: status_of(served, "a")["waiting_there"] == 3, 10)
        assert status_of(served, "a")["kv_usage"] == 0.8125 and status_of(served, "a")["running_there"] == 16
        assert {chat(served.port, chat_body("x")).text for _ in range(5)} == {"from b"}
        second.metrics, first.metrics = IDLE.replace("0.5", "0.97"), IDLE  # no queue, but no room for another prompt
        eventually("its memory is known", lambda: status_of(served, "b")["kv_usage"] == 0.97 and not status_of(served, "a")["waiting_there"], 10)
        assert {chat(served.port, chat_body("x")).text for _ in range(5)} == {"from a"}


def test_an_engine_that_tells_nothing_is_asked_all_the_same(gateway):
    with Metered("<html>", "a") as engine:
        served = gateway(config_text([{**openai_backend("a", engine.port), "engine": "sglang"}]))
        eventually("it was asked for its load", lambda: engine.asked > 0, 10)
        assert chat(served.port, chat_body("x")).text == "from a" and not status_of(served, "a")["reports"]


@pytest.mark.parametrize("engine, file, expected", [
    ("sglang", "sglang.metrics", (162, 2826, 0.28)), ("tensorrt-llm", "trtllm.json", (8, 2, 0.5)), ("llama.cpp", "llama_cpp.metrics", (2, 5, 0))])
def test_each_engine_is_read_in_its_own_words(gateway, engine, file, expected):
    with Metered((RECORDED / file).read_text(), "a") as server:
        served = gateway(config_text([{**openai_backend("a", server.port), "engine": engine}]))
        eventually("its load is known", lambda: status_of(served, "a")["reports"], 10)
        told = status_of(served, "a")
        assert (told["running_there"], told["waiting_there"], told["kv_usage"]) == expected


# --- memory ------------------------------------------------------------------------------------------------------------

def test_a_model_that_cannot_fit_is_refused_before_it_is_tried(tmp_path):
    model = model_shapes.make("deepseek-v3", tmp_path)
    (tmp_path / "spillway.toml").write_text(config_text([local_backend(str(model))]))
    got = run("serve", home=tmp_path, timeout=20)
    assert got.returncode != 0
    assert "deepseek-v3 needs 379" in got.stderr and "weights" in got.stderr and "this machine has" in got.stderr
    assert "mend: " in got.stderr and "fits" in got.stderr.split("mend: ")[1]
    assert not list(tmp_path.glob("data/log/engine-*.log")) or "load_model" not in (tmp_path / "data/log/engine-local.log").read_text()


def test_a_context_that_cannot_fit_is_told_which_would(tmp_path, model_file):
    (tmp_path / "spillway.toml").write_text(config_text([{**local_backend(str(model_file)), "context": 8192, "parallel": 1024}]))
    got = run("serve", home=tmp_path, timeout=20)
    assert got.returncode != 0 and "cache" in got.stderr and "parallel" in got.stderr and "fits" in got.stderr


def test_what_the_engine_takes_is_known_after_a_load(real_engine, engine_data, tmp_path):
    admin = f"127.0.0.1:{real_engine.admin_port}"
    shown, = json.loads(run("ps", "--json", "--admin", admin, home=tmp_path).stdout)
    assert shown["memory_measured"] and shown["model"] == "smollm2:135m"
    told = json.loads(run("--data", str(engine_data), "show", "smollm2:135m", "--context", "2048", "--parallel", "2", "--json", home=tmp_path).stdout)
    assert abs(told["memory"]["total"] - shown["memory"]) < 32 << 20
    book = json.loads((engine_data / "memory.json").read_text())
    assert "2048x2x512x1x1" in book[told["digest"].removeprefix("sha256:")]
    table = run("ps", "--admin", admin, home=tmp_path).stdout.splitlines()
    assert table[0].split() == ["MODEL", "BACKEND", "STATE", "PID", "MEMORY", "CONTEXT", "ACTIVE"] and "smollm2:135m" in table[1]
