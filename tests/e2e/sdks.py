"""The official SDKs, unchanged, behind one small interface: what each makes of an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import anthropic
import ollama
import openai

from clock import slow

TOOL = {"name": "get_weather", "description": "Weather at a \"place\"",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
HELLO = [{"role": "user", "content": "Say hello"}]
SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"],
          "additionalProperties": False}


@dataclass
class Said:
    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, dict]] = field(default_factory=list)
    call_ids: list[str] = field(default_factory=list)
    finish: str | None = None
    usage: tuple[int, int] | None = None
    raw: object = None


class OpenAi:
    kind = "openai"
    finishes = {"stop": "stop", "length": "length", "calls": "tool_calls"}

    def __init__(self, port: int):
        self.client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-any", max_retries=0,
                                    timeout=slow(8), http_client=openai.DefaultHttpxClient(trust_env=False))

    def ask(self, messages, streamed: bool, tools=False, **more) -> Said:
        if tools:
            more["tools"] = [{"type": "function", "function": TOOL}]
        if not streamed:
            answer = self.client.chat.completions.create(model="test", messages=messages, **more)
            message = answer.choices[0].message
            return Said(message.content or "", getattr(message, "reasoning_content", None) or "",
                        [(one.function.name, json.loads(one.function.arguments)) for one in message.tool_calls or []],
                        [one.id for one in message.tool_calls or []], answer.choices[0].finish_reason,
                        (answer.usage.prompt_tokens, answer.usage.completion_tokens) if answer.usage else None, answer)
        said = Said()
        calls: dict[int, list] = {}
        for part in self.client.chat.completions.create(model="test", messages=messages, stream=True,
                                                        stream_options={"include_usage": True}, **more):
            if part.usage:
                said.usage = (part.usage.prompt_tokens, part.usage.completion_tokens)
            for choice in part.choices:
                said.text += choice.delta.content or ""
                said.thinking += getattr(choice.delta, "reasoning_content", None) or ""
                said.finish = choice.finish_reason or said.finish
                for one in choice.delta.tool_calls or []:
                    call = calls.setdefault(one.index, [one.id, one.function.name, ""])
                    call[2] += one.function.arguments or ""
        said.calls = [(name, json.loads(text)) for _, name, text in calls.values()]
        said.call_ids = [id for id, _, _ in calls.values()]
        return said

    def errors(self) -> dict[int, type]:
        return {400: openai.BadRequestError, 401: openai.AuthenticationError, 404: openai.NotFoundError,
                429: openai.RateLimitError, 502: openai.InternalServerError}

    error = openai.APIStatusError


class Anthropic:
    kind = "anthropic"
    finishes = {"stop": "end_turn", "length": "max_tokens", "calls": "tool_use"}

    def __init__(self, port: int):
        self.client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="sk-any", max_retries=0,
                                          timeout=slow(8),
                                          http_client=anthropic.DefaultHttpxClient(trust_env=False))

    def ask(self, messages, streamed: bool, tools=False, **more) -> Said:
        if tools:
            more["tools"] = [{"name": TOOL["name"], "description": TOOL["description"],
                              "input_schema": TOOL["parameters"]}]
        asked = {"model": "test", "max_tokens": 100, "messages": messages, **more}
        if streamed:
            with self.client.messages.stream(**asked) as running:
                for _ in running:
                    pass
                answer = running.get_final_message()
        else:
            answer = self.client.messages.create(**asked)
        said = Said(finish=answer.stop_reason, usage=(answer.usage.input_tokens, answer.usage.output_tokens), raw=answer)
        for block in answer.content:
            if block.type == "text":
                said.text += block.text
            elif block.type == "thinking":
                said.thinking += block.thinking
            elif block.type == "tool_use":
                said.calls.append((block.name, block.input))
                said.call_ids.append(block.id)
        return said

    def errors(self) -> dict[int, type]:
        return {400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 404: anthropic.NotFoundError,
                429: anthropic.RateLimitError, 502: anthropic.InternalServerError}

    error = anthropic.APIStatusError


class Ollama:
    kind = "ollama"
    finishes = {"stop": "stop", "length": "length", "calls": "stop"}

    def __init__(self, port: int):
        self.client = ollama.Client(host=f"http://127.0.0.1:{port}", timeout=slow(8), trust_env=False)

    def ask(self, messages, streamed: bool, tools=False, **more) -> Said:
        if tools:
            more["tools"] = [{"type": "function", "function": TOOL}]
        answer = self.client.chat(model="test", messages=messages, stream=streamed, **more)
        said = Said(raw=answer)
        for part in answer if streamed else [answer]:
            said.text += part.message.content or ""
            said.thinking += part.message.thinking or ""
            said.calls += [(one.function.name, dict(one.function.arguments)) for one in part.message.tool_calls or []]
            if part.done:
                said.finish, said.usage = part.done_reason, (part.prompt_eval_count, part.eval_count)
                assert part.total_duration and part.eval_duration is not None
        return said

    def errors(self) -> dict[int, type]:
        return dict.fromkeys((400, 401, 404, 429, 502), ollama.ResponseError)

    error = ollama.ResponseError


SDKS = {"openai": OpenAi, "anthropic": Anthropic, "ollama": Ollama}
