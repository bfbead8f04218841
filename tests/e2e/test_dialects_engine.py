"""The SDKs before the real engine, and before a Backend of each Dialect that has the real engine behind it."""

from __future__ import annotations

import pytest

from gateway import backend_of, config_text
from sdks import SDKS
from speakers import KINDS

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client", KINDS)
def test_each_sdk_before_the_engine(real_engine, client, streamed):
    said = SDKS[client](real_engine.port).ask(QUESTION, streamed)
    assert len(said.text) > 5 and said.finish in SDKS[client].finishes.values()
    # Anthropic's input_tokens leave out what came from a cache.
    assert said.usage[0] > (0 if client == "anthropic" else 10) and said.usage[1] > 2


@pytest.mark.parametrize("backend", KINDS)
@pytest.mark.parametrize("client", KINDS)
def test_each_pair_with_the_engine_at_the_end(gateway, real_engine, client, backend):
    served = gateway(config_text([backend_of(backend, "a", real_engine.port)]))
    said = SDKS[client](served.port).ask(QUESTION, True)
    assert len(said.text) > 5 and said.usage[1] > 2
