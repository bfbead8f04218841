"""What `spillway show` says a model takes, against what the real engine says of itself before it loads."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import model_shapes
from gateway import cache_dir, run

pytestmark = pytest.mark.timeout(60)

MIB = 1 << 20
# Context of each answer, answers at a time, type of the cached keys.
RUNS = [(4096, 1, "f16"), (4096, 4, "f16"), (32768, 1, "f16"), (8192, 2, "q8_0")]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shapes")


def engines_own(model: Path, context: int, parallel: int, keys: str) -> dict[str, int]:
    """MiB of weights, cache and computing, over all of its buffers: it lays them out without taking them, and says so."""
    server = cache_dir() / "engine/current/bin/llama-server"
    process = subprocess.Popen([server, "--model", model, "--ctx-size", str(context * parallel), "--parallel", str(parallel), "--port", "0",
                                "--no-ui", "--offline", "--verbosity", "4", "--cache-type-k", keys],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    sums = dict.fromkeys(["weights", "cache", "compute"], 0)
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            found = re.search(r"memory_breakdown_print: \|   - .*= +(\d+) \+ +(\d+) \+ +(\d+)", line)
            for name, value in zip(sums, found.groups() if found else ()):
                sums[name] += int(value)
            if "projected to use" in line:
                return sums
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    pytest.fail("the engine says nothing:\n" + "".join(lines[-8:]))


def ours(model: Path, context: int, parallel: int, keys: str, home: Path) -> dict[str, float]:
    got = run("show", str(model), "--json", "--context", str(context), "--parallel", str(parallel), "--cache-type-k", keys, home=home)
    assert got.returncode == 0, got.stderr
    return {name: value / MIB for name, value in json.loads(got.stdout)["memory"].items()}


def check(model: Path, home: Path, runs) -> None:
    for context, parallel, keys in runs:
        engine, estimate = engines_own(model, context, parallel, keys), ours(model, context, parallel, keys, home)
        total = sum(engine.values())
        assert abs(estimate["total"] - total) <= max(32, total / 20), (context, parallel, keys, engine, estimate)
        # More than the issue is about: the cache, which grows, is exact but for the rounding of what is printed.
        assert abs(estimate["cache"] - engine["cache"]) <= 2, (context, parallel, keys, engine, estimate)


@pytest.mark.parametrize("name", model_shapes.SHAPES)
def test_the_estimate_is_what_the_engine_says(shapes, tmp_path, name):
    latent = name.startswith("deepseek")  # which the engine runs with keys of F16 alone
    check(model_shapes.make(name, shapes), tmp_path, RUNS[:3] if latent else RUNS)


def test_the_estimate_for_the_default_model_is_what_the_engine_says(model_file, tmp_path):
    check(model_file, tmp_path, RUNS)


def test_show_tells_what_a_model_is(shapes, tmp_path, model_file):
    got = run("show", str(model_file), "--json", home=tmp_path)
    shown = json.loads(got.stdout)
    assert (shown["architecture"], shown["quantization"], shown["context_length"], shown["vocabulary"]) == ("llama", "Q4_1", 8192, 49152)
    assert shown["parameters"] == 134_515_008 and shown["metadata"]["llama.attention.head_count_kv"] == 3
    assert "<|im_start|>" in shown["chat_template"]
    assert run("show", str(model_file), "--template", home=tmp_path).stdout == shown["chat_template"]
    text = run("show", str(model_shapes.make("qwen3-30b-a3b", shapes)), "--context", "40960", home=tmp_path).stdout
    assert "experts         128, 8 used for a token" in text and "none: not a chat model" in text
    assert "at context 40960, 1 at a time" in text


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 60, b"<html>" * 20])
def test_show_of_a_broken_file_is_one_line(tmp_path, content):
    (tmp_path / "x.gguf").write_bytes(content)
    got = run("show", str(tmp_path / "x.gguf"), home=tmp_path)
    assert got.returncode == 1 and got.stdout == "" and got.stderr.startswith("error: ") and len(got.stderr.splitlines()) == 2
