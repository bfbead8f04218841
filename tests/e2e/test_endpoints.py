"""The endpoints beside chat, as the official SDKs use them, before Backends of each Dialect."""

from __future__ import annotations

import json

import anthropic
import openai
import pydantic
import pytest

from gateway import backend_of, config_text
from http_client import call, get
from replies import Close, begun, events, sse, stream, whole
from sdks import HELLO, TOOL, Anthropic, Ollama, OpenAi
from speakers import CALLS, KINDS, begins, calls, says, thinks

pytestmark = pytest.mark.sanitized


@pytest.fixture(params=KINDS)
def server(request, servers):
    gateway, upstream = servers[request.param]
    upstream.requests.clear()
    return gateway, upstream, request.param


# --- Responses ---------------------------------------------------------------------------------------------------

def test_a_response_whole(server):
    gateway, upstream, kind = server
    upstream.script(says(kind))
    answer = OpenAi(gateway.port).client.responses.create(model="test", input="Say hello", instructions="Be brief",
                                                          store=False)
    assert answer.output_text == "Hello there" and answer.status == "completed"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 2)
    assert answer.instructions == "Be brief" and answer.store is False
    assert "Be brief" in json.dumps(upstream.requests[-1].json)


def test_a_response_streamed(server):
    gateway, upstream, kind = server
    upstream.script(thinks(kind))
    types = []
    with OpenAi(gateway.port).client.responses.stream(model="test", input="Say hello") as running:
        for event in running:
            types.append(event.type)
        final = running.get_final_response()
    assert final.output_text == "Hello" and final.status == "completed"
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert final.output[0].content[0].text == "Let me see"
    assert types[0] == "response.created" and types[-1] == "response.completed"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_response_calls_tools_and_is_told_their_results(server, streamed):
    gateway, upstream, kind = server
    client = OpenAi(gateway.port).client
    tools = [{"type": "function", **TOOL}]
    upstream.script(calls(kind))
    if streamed:
        with client.responses.stream(model="test", input="Weather?", tools=tools) as running:
            for _ in running:
                pass
            answer = running.get_final_response()
    else:
        answer = client.responses.create(model="test", input="Weather?", tools=tools)
    made = [(item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]
    assert made == list(CALLS)
    results = [{"type": "function_call_output", "call_id": item.call_id, "output": f"result {i}"}
               for i, item in enumerate(answer.output)]
    upstream.script(says(kind))
    second = client.responses.create(model="test", tools=tools, input=[
        {"role": "user", "content": "Weather?"},
        *(item.model_dump(exclude_none=True) for item in answer.output), *results])
    assert second.output_text == "Hello there"
    told = json.dumps(upstream.requests[-1].json)
    assert "result 0" in told and "result 1" in told and told.count("get_weather") >= 2


class Capital(pydantic.BaseModel):
    city: str


def test_a_response_is_parsed_into_a_class(server):
    gateway, upstream, kind = server
    upstream.script(says(kind, ['{"city":', '"Paris"}']))
    answer = OpenAi(gateway.port).client.responses.parse(model="test", input="Capital?", text_format=Capital)
    assert answer.output_parsed == Capital(city="Paris")


def test_what_would_need_a_memory_is_refused(server):
    gateway, upstream, kind = server
    client = OpenAi(gateway.port).client
    for more in ({"previous_response_id": "resp_1"}, {"store": True}):
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(model="test", input="Go on", **more)
        assert raised.value.param == next(iter(more))
    assert not upstream.requests


def test_a_response_that_breaks_is_the_sdks_exception(server):
    gateway, upstream, kind = server
    upstream.script(begins(kind, ["Hel"]) + [Close()])
    with pytest.raises(openai.APIError, match="cut in the middle"):
        for _ in OpenAi(gateway.port).client.responses.create(model="test", input="Hi", stream=True):
            pass


# --- Completions -------------------------------------------------------------------------------------------------

def text_completion(text: str, finish: str | None = None, **more) -> dict:
    return {"id": "cmpl-fake", "object": "text_completion", "created": 1700000000, "model": "fake-model",
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}], **more}


def completes(words):
    def reply(request):
        if request.target != "/v1/completions":
            return says("openai", words)(request)
        if not request.json.get("stream"):
            return whole(200, text_completion("".join(words), "stop", usage={"prompt_tokens": 3, "completion_tokens": 2,
                                                                            "total_tokens": 5}))
        return stream([*(sse(text_completion(word)) for word in words), sse(text_completion("", "stop")), sse("[DONE]")])
    return reply


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_text_is_completed(server, streamed):
    gateway, upstream, kind = server
    upstream.script(completes(["Hello", " there"]) if kind == "openai" else says(kind))
    answer = OpenAi(gateway.port).client.completions.create(model="test", prompt="Once", max_tokens=300, stream=streamed)
    parts = list(answer) if streamed else [answer]
    assert "".join(choice.text for part in parts for choice in part.choices) == "Hello there"
    assert [choice.finish_reason for part in parts for choice in part.choices if choice.finish_reason] == ["stop"]
    if kind == "openai":
        assert upstream.requests[-1].target == "/v1/completions" and upstream.requests[-1].json["prompt"] == "Once"
    else:
        assert "Once" in json.dumps(upstream.requests[-1].json["messages"])


def test_a_completion_that_breaks_is_gone_on_with_behind_its_prompt(gateway, upstream, second_upstream):
    words = "The quick brown fox jumps over the lazy dog and runs away".split(" ")
    text = [(" " if i else "") + word for i, word in enumerate(words)]
    upstream.script(begun([sse(text_completion(word)) for word in text[:8]]) + [Close()])

    def goes_on(request):
        prompt = request.json["prompt"]
        assert prompt.startswith("Once: ")
        said = prompt.removeprefix("Once: ")
        rest = "".join(text)[len(said):]
        return stream([sse(text_completion(rest)), sse(text_completion("", "stop")), sse("[DONE]")])

    second_upstream.script(goes_on)
    served = gateway(config_text([backend_of("openai", "a", upstream.port), backend_of("openai", "b", second_upstream.port)]))
    answer = OpenAi(served.port).client.completions.create(model="test", prompt="Once: ", stream=True)
    assert "".join(choice.text for part in answer for choice in part.choices) == "".join(text)


def test_a_broken_generate_is_asked_again_and_matched(gateway, upstream, second_upstream):
    """A prompt of Ollama's is a user's text, which no answer can be added to."""
    from speakers import STATISTICS, begun_ndjson, line, ndjson
    words = ["The quick", " brown fox", " jumps over", " the lazy", " dog"]
    upstream.script(begun_ndjson([line(response=word) for word in words[:3]]) + [Close()])
    second_upstream.script(ndjson([*(line(response=word) for word in words),
                                   line(response="", done=True, done_reason="stop", **STATISTICS)]))
    served = gateway(config_text([backend_of("ollama", "a", upstream.port), backend_of("ollama", "b", second_upstream.port)]))
    answer = list(Ollama(served.port).client.generate(model="test", prompt="Tell", stream=True))
    assert "".join(part.response for part in answer) == "".join(words)
    assert answer[-1].done and second_upstream.requests[-1].json["prompt"] == "Tell"


# --- Embeddings --------------------------------------------------------------------------------------------------

VECTORS = [[0.5, -1.25, 3.0], [1.0, 0.0, -2.5]]


def embeds(kind):
    def reply(request):
        if kind == "ollama":
            return whole(200, {"model": "fake-model", "embeddings": VECTORS, "total_duration": 5, "prompt_eval_count": 7})
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(VECTORS)]
        return whole(200, {"object": "list", "data": data, "model": "fake-model",
                           "usage": {"prompt_tokens": 7, "total_tokens": 7}})
    return reply


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_texts_are_embedded(servers, kind):
    gateway, upstream = servers[kind]
    upstream.script(embeds(kind))
    client = OpenAi(gateway.port).client
    for more in ({}, {"encoding_format": "float"}):  # the SDK asks for base64 by itself
        answer = client.embeddings.create(model="test", input=["one", "two"], **more)
        assert [one.embedding for one in answer.data] == VECTORS and answer.usage.prompt_tokens == 7
    answer = Ollama(gateway.port).client.embed(model="test", input=["one", "two"])
    assert [list(one) for one in answer.embeddings] == VECTORS and answer.prompt_eval_count == 7
    assert upstream.requests[-1].json["input"] == ["one", "two"]
    assert upstream.requests[-1].target == {"openai": "/v1/embeddings", "ollama": "/api/embed"}[kind]


def test_a_backend_that_cannot_embed_is_told(servers):
    gateway, upstream = servers["anthropic"]
    with pytest.raises(openai.BadRequestError, match="no such endpoint"):
        OpenAi(gateway.port).client.embeddings.create(model="test", input="one")


# --- counting tokens ---------------------------------------------------------------------------------------------

def test_tokens_are_counted_by_whoever_can_and_estimated_else(server):
    gateway, upstream, kind = server
    upstream.script(whole(200, {"input_tokens": 42}))
    client = Anthropic(gateway.port).client
    raw = client.messages.with_raw_response.count_tokens(
        model="test", messages=[{"role": "user", "content": "Hello there, how are you?" * 10}], system="Be brief")
    counted = raw.parse().input_tokens
    if kind == "anthropic":
        assert counted == 42 and upstream.requests[-1].target == "/v1/messages/count_tokens"
    else:
        assert 50 < counted < 100 and raw.headers["x-spillway-estimated"] == "true" and not upstream.requests


# --- models ------------------------------------------------------------------------------------------------------

def test_each_sdk_lists_the_models(servers):
    gateway, _ = servers["openai"]
    assert "test" in [one.id for one in OpenAi(gateway.port).client.models.list()]
    listed = Anthropic(gateway.port).client.models.list()
    assert "test" in [one.id for one in listed] and not listed.has_more
    assert Anthropic(gateway.port).client.models.retrieve("test").display_name == "test"
    with pytest.raises(anthropic.NotFoundError):
        Anthropic(gateway.port).client.models.retrieve("nosuch")
    client = Ollama(gateway.port).client
    assert "test" in [one.model for one in client.list().models]
    assert client.ps().models == []
    assert "completion" in client.show("test").capabilities
    with pytest.raises(Exception, match="not found"):
        client.show("nosuch")


def test_the_first_questions_of_ollamas_clients(servers):
    gateway, _ = servers["openai"]
    assert get(gateway.port, "/").body == b"Spillway is running"
    assert call(gateway.port, "HEAD", "/").status == 200
    assert get(gateway.port, "/api/version").json["version"].count(".") == 2
    loaded = call(gateway.port, "POST", "/api/generate", {"model": "test"})
    assert loaded.json["done"] is True and loaded.json["done_reason"] == "load"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_generate(server, streamed):
    gateway, upstream, kind = server
    def reply(request):
        if kind != "ollama":
            return says(kind)(request)
        from speakers import STATISTICS, line, ndjson
        if not streamed:
            return whole(200, {"model": "fake-model", "created_at": "x", "response": "Hello there", "done": True,
                               "done_reason": "stop", **STATISTICS})
        return ndjson([line(response="Hello"), line(response=" there"),
                       line(response="", done=True, done_reason="stop", **STATISTICS)])
    upstream.script(reply)
    answer = Ollama(gateway.port).client.generate(model="test", prompt="Say hello", system="Be brief", stream=streamed)
    parts = list(answer) if streamed else [answer]
    assert "".join(part.response for part in parts) == "Hello there"
    assert parts[-1].done and parts[-1].eval_count == 2
    assert "Be brief" in json.dumps(upstream.requests[-1].json)
