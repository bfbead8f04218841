"""The official OpenAI SDK, unchanged, against the real engine and against scripted Backends."""

from __future__ import annotations

import asyncio
import time

import openai
import pytest

from clock import duration, eventually, slow
from gateway import config_text, openai_backend
from replies import (Close, Hold, Repeat, Reply, Silence, begun, chunk, delta, error, events, sse, stream)


def sdk(port: int, **options) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-any", max_retries=0, timeout=slow(8),
                         http_client=openai.DefaultHttpxClient(trust_env=False), **options)


HELLO = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]


def ask(client: openai.OpenAI, **more):
    return client.chat.completions.create(model="test", messages=HELLO, **more)


# --- scripted Backends -----------------------------------------------------------------------------------------

def test_chat_and_its_headers(served):
    raw = sdk(served.port).chat.completions.with_raw_response.create(model="test", messages=HELLO)
    assert raw.headers["x-spillway-backend"] == "a" and raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content == "Hello there"


def test_stream_with_usage(served):
    chunks = list(ask(sdk(served.port), stream=True, stream_options={"include_usage": True}))
    assert "".join(part.choices[0].delta.content or "" for part in chunks if part.choices) == "Hello there"
    assert chunks[-1].usage.total_tokens == 5 and chunks[-2].choices[0].finish_reason == "stop"


def test_the_stream_helper_accumulates_the_whole_answer(served):
    with sdk(served.port).chat.completions.stream(model="test", messages=HELLO) as running:
        for _ in running:
            pass
        final = running.get_final_completion()
    assert final.choices[0].message.content == "Hello there" and final.choices[0].finish_reason == "stop"


def test_keep_alive_comments_are_skipped(served, upstream):
    upstream.script(stream([part for event in events(["Hello"]) for part in (b": keep-alive\n\n", event)]))
    assert "".join(part.choices[0].delta.content or "" for part in ask(sdk(served.port), stream=True)) == "Hello"


def test_models_are_listed_and_retrieved(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], [{"model": "fast", "targets": [{"backend": "a"}]}]))
    client = sdk(served.port)
    assert "fast" in [model.id for model in client.models.list()]
    assert client.models.retrieve("fast").id == "fast"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nosuch")


CLASSES = [(400, openai.BadRequestError), (413, openai.APIStatusError), (422, openai.UnprocessableEntityError)]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status,kind", CLASSES, ids=[str(status) for status, _ in CLASSES])
def test_the_clients_own_faults_are_the_sdks_exceptions(served, upstream, status, kind, streamed):
    upstream.script(error(status, "mind your temperature", type="invalid_request_error", code="bad_value"))
    with pytest.raises(kind) as raised:
        ask(sdk(served.port), stream=streamed)
    assert raised.value.status_code == status and raised.value.code == "bad_value"
    assert "mind your temperature" in raised.value.message


def test_a_bad_request_of_our_own_is_bad_request_error(served, upstream):
    with pytest.raises(openai.BadRequestError) as raised:
        sdk(served.port).chat.completions.create(model=7, messages=HELLO)
    assert raised.value.code == "invalid_request" and raised.value.type == "invalid_request_error"
    assert upstream.requests == []


def test_no_target_is_not_found_error(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], [{"model": "other", "targets": [{"backend": "a"}]}]))
    with pytest.raises(openai.NotFoundError) as raised:
        ask(sdk(served.port))
    assert raised.value.code == "no_target"


def test_all_429_is_rate_limit_error(served, upstream):
    upstream.script(error(429))
    with pytest.raises(openai.RateLimitError) as raised:
        ask(sdk(served.port))
    assert raised.value.code == "all_targets_failed"


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503, 529])
def test_all_targets_failed_is_internal_server_error(served, upstream, status):
    upstream.script(error(status))
    with pytest.raises(openai.InternalServerError) as raised:
        ask(sdk(served.port))
    assert (raised.value.status_code, raised.value.code) == (502, "all_targets_failed")
    assert str(status) in raised.value.message


def test_a_deadline_is_internal_server_error_504(served, upstream):
    upstream.script(Reply((Silence(),)))
    with pytest.raises(openai.InternalServerError) as raised:
        ask(sdk(served.port), extra_headers={"x-spillway-deadline-ms": "200"})
    assert (raised.value.status_code, raised.value.code) == (504, "deadline_exceeded")


def test_a_body_too_large_is_status_error_413(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)], limits={"max_body": "64KiB"}))
    with pytest.raises(openai.APIStatusError) as raised:
        sdk(served.port).chat.completions.create(model="test", messages=[{"role": "user", "content": "x" * 70_000}])
    assert (raised.value.status_code, raised.value.code) == (413, "body_too_large")


def test_a_stream_broken_in_the_middle_is_api_error_with_its_code(served, upstream):
    upstream.script(begun(events(["half "], finish=None, done=False)) + [Hold(), Close()])
    got = []
    with pytest.raises(openai.APIError) as raised:
        for part in ask(sdk(served.port), stream=True):
            if part.choices[0].delta.content:
                got.append(part.choices[0].delta.content)
                upstream.release()
    assert got == ["half "] and raised.value.code == "stream_broken"


def test_a_gateway_that_is_not_there_is_api_connection_error(refusing_port):
    with pytest.raises(openai.APIConnectionError):
        ask(sdk(refusing_port))


def test_closing_a_stream_cancels_the_upstream_within_100_ms(served, upstream):
    upstream.script(begun(events(["tick"], finish=None, done=False)) + [Repeat(chunk(sse(delta({"content": "tick"}))), 0.01)])
    running = ask(sdk(served.port), stream=True)
    next(iter(running))
    running.close()
    left = time.monotonic()
    eventually("the upstream connection is closed", lambda: upstream.requests[0].left_at, 3, every=0.001)
    assert upstream.requests[0].left_at - left < slow(0.1)


def test_a_client_timeout_cancels_the_upstream(served, upstream):
    upstream.script(Reply((Silence(),)))
    with pytest.raises(openai.APITimeoutError):
        ask(sdk(served.port).with_options(timeout=0.3))
    eventually("the upstream connection is closed", lambda: upstream.requests[0].left_at)


def test_failover_is_invisible_to_the_sdk(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)],
                                 defaults={"first_token_timeout": duration(1)}))
    upstream.script(error(503))
    assert ask(sdk(served.port)).choices[0].message.content == "Hello there"
    assert "".join(part.choices[0].delta.content or "" for part in ask(sdk(served.port), stream=True)) == "Hello there"


def test_fifty_async_streams_at_once(served):
    async def one(client: openai.AsyncOpenAI) -> str:
        parts = await client.chat.completions.create(model="test", messages=HELLO, stream=True)
        return "".join([part.choices[0].delta.content or "" async for part in parts])

    async def many() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key="sk-any", max_retries=0,
                                      http_client=openai.DefaultAsyncHttpxClient(trust_env=False)) as client:
            return await asyncio.gather(*(one(client) for _ in range(50)))

    assert asyncio.run(many()) == ["Hello there"] * 50


def test_text_in_every_script_survives(served, upstream):
    text = "早上好 — привет 🦀 \u2028 \u0000 \"quoted\" \\ end"
    upstream.script(stream(events(list(text))))
    assert "".join(part.choices[0].delta.content or "" for part in ask(sdk(served.port), stream=True)) == text


# --- the real engine -------------------------------------------------------------------------------------------

def test_the_real_model_answers(real_engine):
    got = sdk(real_engine.port).chat.completions.create(model="any", messages=HELLO, temperature=0, max_tokens=24)
    assert "Paris" in got.choices[0].message.content
    assert got.usage.completion_tokens > 0 and got.choices[0].finish_reason in ("stop", "length")


def test_the_real_models_stream_is_deterministic_at_temperature_0(real_engine):
    def once() -> str:
        parts = sdk(real_engine.port).chat.completions.create(model="any", messages=HELLO, temperature=0, max_tokens=24,
                                                              stream=True, seed=1)
        return "".join(part.choices[0].delta.content or "" for part in parts if part.choices)

    first = once()
    assert first.strip() and once() == first


def test_the_real_models_stream_tells_usage_when_asked(real_engine):
    chunks = list(sdk(real_engine.port).chat.completions.create(
        model="any", messages=HELLO, max_tokens=8, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(part.usage is None for part in chunks[:-1])


def test_a_cancelled_stream_of_the_real_model_frees_its_slot(real_engine):
    client = sdk(real_engine.port)
    for _ in range(4):  # more than the engine has slots
        running = client.chat.completions.create(model="any", messages=HELLO, max_tokens=1500, stream=True,
                                                 extra_body={"ignore_eos": True})
        next(iter(running))
        running.close()
    start = time.monotonic()
    client.chat.completions.create(model="any", messages=HELLO, max_tokens=4)
    assert time.monotonic() - start < slow(5)


def test_a_request_that_the_real_engine_refuses_passes_through(real_engine):
    with pytest.raises(openai.BadRequestError, match="context"):
        sdk(real_engine.port).chat.completions.create(model="any", max_tokens=4,
                                                      messages=[{"role": "user", "content": "river " * 4000}])
