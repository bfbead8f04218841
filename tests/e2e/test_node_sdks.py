"""The official Node SDKs before Backends of each Dialect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clock import eventually, slow
from conftest import cannot_run
from replies import Hold, whole
from speakers import CALLS, KINDS, begins, calls, refuses, says
from test_endpoints import VECTORS, embeds

PACKAGES = Path(sys.prefix) / "node"
ASK = Path(__file__).parent / "node" / "ask.cjs"


def tell(sdk: str, port: int, scenario: str) -> dict:
    if not (PACKAGES / "node_modules").exists():
        cannot_run("the Node packages are not installed; script/test does that")
    done = subprocess.run([str(Path(sys.prefix) / "bin" / "node"), str(ASK), sdk, str(port), scenario], capture_output=True,
                          text=True, timeout=slow(20), env={**os.environ, "NODE_PACKAGES": str(PACKAGES)})
    assert done.returncode == 0 and done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=[(client, backend) for client in KINDS for backend in KINDS], ids=lambda one: f"{one[0]}-to-{one[1]}")
def pair(request, servers):
    client, backend = request.param
    return client, *servers[backend], backend


FINISH = {"openai": ("stop", "tool_calls"), "anthropic": ("end_turn", "tool_use"), "ollama": ("stop", "stop")}


def test_chat_and_stream(pair):
    client, served, upstream, kind = pair
    upstream.script(says(kind, ["Hello", " \U0001f600"]))
    for scenario in ("chat", "stream"):
        told = tell(client, served.port, scenario)
        assert (told["text"], told["finish"]) == ("Hello \U0001f600", FINISH[client][0]), scenario


def test_tools(pair):
    client, served, upstream, kind = pair
    upstream.script(calls(kind))
    for scenario in ("tools", "stream_tools"):
        told = tell(client, served.port, scenario)
        assert [tuple(one) for one in told["calls"]] == list(CALLS) and told["finish"] == FINISH[client][1], scenario


@pytest.mark.parametrize("client", KINDS)
def test_a_schema_the_models_and_a_client_that_leaves(servers, client):
    kind = {"openai": "anthropic", "anthropic": "ollama", "ollama": "openai"}[client]
    served, upstream = servers[kind]
    upstream.script(says(kind, ['{"answer":', "42}"]))
    assert json.loads(tell(client, served.port, "schema")["text"]) == {"answer": 42}
    assert "test" in tell(client, served.port, "models")["models"]
    upstream.script(begins(kind, ["Hel", "lo"]) + [Hold()])
    assert tell(client, served.port, "cancel")["text"] == "cancelled"
    eventually("the Backend is left", lambda: upstream.requests[-1].left_at is not None, 3)


@pytest.mark.parametrize("client", KINDS)
@pytest.mark.parametrize("status,told_as", [(400, 400), (401, 502), (429, 429), (503, 502)])
def test_failures(servers, client, status, told_as):
    kind = {"openai": "anthropic", "anthropic": "ollama", "ollama": "openai"}[client]
    served, upstream = servers[kind]
    upstream.script(refuses(kind, status))
    names = {400: "BadRequestError", 429: "RateLimitError", 502: "InternalServerError"}
    for scenario in ("chat", "stream"):
        told = tell(client, served.port, scenario)
        assert told["status"] == told_as and "mind your temperature" in told["message"]
        assert told["error"] == (names[told_as] if client != "ollama" else "ResponseError")


def test_embeddings_responses_and_counts(servers):
    served, upstream = servers["ollama"]
    upstream.script(embeds("ollama"))
    assert tell("openai", served.port, "embed")["vectors"] == VECTORS
    upstream.script(says("ollama"))
    assert tell("openai", served.port, "response")["text"] == "Hello there"
    served, upstream = servers["openai"]
    upstream.script(embeds("openai"))
    assert tell("ollama", served.port, "embed")["vectors"] == VECTORS
    served, upstream = servers["anthropic"]
    upstream.script(whole(200, {"input_tokens": 42}))
    assert tell("anthropic", served.port, "count")["tokens"] == 42
