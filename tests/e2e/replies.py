"""What a scripted upstream answers: a Reply is a list of Steps on the wire.

The builders make well-formed HTTP and SSE; `dribble`, `cut_at` and the Steps themselves make
everything else. Nothing here touches a socket.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Iterable, Sequence, Union


@dataclass(frozen=True)
class Send:
    """Bytes, in one write."""
    data: bytes


@dataclass(frozen=True)
class Pause:
    """A rest between two writes; ends early when the client leaves."""
    seconds: float


@dataclass(frozen=True)
class Silence:
    """Nothing more, until the client leaves."""


@dataclass(frozen=True)
class Hold:
    """Nothing more until the test releases the gate (or the client leaves)."""
    gate: str = "gate"


@dataclass(frozen=True)
class Repeat:
    """The same bytes over and over, `every` seconds; without `times`, until the client leaves."""
    data: bytes
    every: float = 0.0
    times: int | None = None


@dataclass(frozen=True)
class Reset:
    """A TCP RST (SO_LINGER 0)."""


@dataclass(frozen=True)
class Close:
    """A clean end of the connection."""


Step = Union[Send, Pause, Silence, Hold, Repeat, Reset, Close]


@dataclass(frozen=True)
class Reply:
    """One answer. When its last Step is not an ending one, the connection is kept alive."""
    steps: tuple[Step, ...] = field(default_factory=tuple)

    def __add__(self, more: "Reply | Sequence[Step]") -> "Reply":
        return Reply(self.steps + tuple(more.steps if isinstance(more, Reply) else more))


REASONS = {200: "OK", 301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect", 400: "Bad Request",
           401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
           413: "Content Too Large", 422: "Unprocessable Content", 429: "Too Many Requests",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
           529: "Overloaded"}

Headers = Sequence[tuple[str, str]]


def head(status: int, headers: Headers = ()) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"] + [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


# --- whole answers ---------------------------------------------------------------------------------------------

def whole(status: int, body: bytes | str | dict, headers: Headers = (), content_type: str = "application/json") -> Reply:
    """An answer with Content-Length, head and body in one write."""
    if isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    described = [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers]
    return Reply((Send(head(status, described) + body),))


def completion(text: str = "Hello there", model: str = "fake-model", **more) -> dict:
    """The body of a chat completion."""
    return {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1700000000, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, **more}


def answer(text: str = "Hello there", model: str = "fake-model", headers: Headers = (), **more) -> Reply:
    return whole(200, completion(text, model, **more), headers)


def error_body(message: str = "upstream says no", type: str = "server_error", code: str | None = None) -> dict:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def error(status: int, message: str = "upstream says no", headers: Headers = (), **more) -> Reply:
    return whole(status, error_body(message, **more), headers)


# --- streams ---------------------------------------------------------------------------------------------------

SSE_HEADERS = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))


def sse(payload: dict | str, newline: str = "\n") -> bytes:
    """One event; a str may hold several lines, each of which gets its own `data:`."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return ("".join(f"data: {line}{newline}" for line in text.split("\n")) + newline).encode()


def delta(delta: dict, finish: str | None = None, model: str = "fake-model", **more) -> dict:
    return {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def usage_event(model: str = "fake-model", prompt: int = 3, completion_tokens: int = 2) -> dict:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion_tokens, "total_tokens": prompt + completion_tokens}
    return {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
            "choices": [], "usage": usage}


def events(words: Iterable[str], model: str = "fake-model", role: bool = True, finish: str | None = "stop",
           usage: bool = False, done: bool = True, newline: str = "\n") -> list[bytes]:
    """The events of a stream that says `words`, each of them whole."""
    out = [sse(delta({"role": "assistant", "content": ""}, model=model), newline)] if role else []
    out += [sse(delta({"content": word}, model=model), newline) for word in words]
    if finish is not None:
        out.append(sse(delta({}, finish, model), newline))
    if usage:
        out.append(sse(usage_event(model), newline))
    if done:
        out.append(sse("[DONE]", newline))
    return out


def frame_chunked(parts: Iterable[bytes], headers: Headers = ()) -> list[bytes]:
    return [head(200, [*SSE_HEADERS, ("Transfer-Encoding", "chunked"), *headers]), *map(chunk, parts), LAST_CHUNK]


def stream(parts: Sequence[bytes] | Sequence[str], pace: float = 0.0, framing: str = "chunked",
           headers: Headers = ()) -> Reply:
    """A whole stream. `parts`: words, or events as bytes. `framing`: chunked, length or close."""
    pieces: list[bytes] = list(parts) if parts and isinstance(parts[0], bytes) else events(parts)  # type: ignore[arg-type]
    if framing == "chunked":
        wire = frame_chunked(pieces, headers)
        wire[-2:] = [wire[-2] + wire[-1]]
    elif framing == "length":
        length = ("Content-Length", str(sum(map(len, pieces))))
        wire = [head(200, [*SSE_HEADERS, length, *headers]), *pieces]
    elif framing == "close":
        wire = [head(200, [*SSE_HEADERS, ("Connection", "close"), *headers]), *pieces]
    else:
        raise ValueError(f"framing {framing!r} is not one of chunked, length, close")
    return paced(wire, pace) + ([Close()] if framing == "close" else [])


def begun(parts: Sequence[bytes], headers: Headers = ()) -> Reply:
    """A chunked stream that goes on: head and `parts`, without the last chunk. Add the ending that is wanted."""
    return Reply((Send(head(200, [*SSE_HEADERS, ("Transfer-Encoding", "chunked"), *headers])
                       + b"".join(map(chunk, parts))),))


def paced(pieces: Iterable[bytes], pace: float) -> Reply:
    steps: list[Step] = []
    for piece in pieces:
        if steps and pace > 0:
            steps.append(Pause(pace))
        steps.append(Send(piece))
    return Reply(tuple(steps))


# --- bytes cut anywhere ----------------------------------------------------------------------------------------

def cut_at(data: bytes, points: Iterable[int]) -> list[bytes]:
    """`data` in pieces that end at `points`."""
    edges = [0, *sorted({point for point in points if 0 < point < len(data)}), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:])]


def dribble(data: bytes, size: int = 1, pause: float = 0.0) -> Reply:
    """`data` as it is, `size` bytes a write."""
    return paced(cut_at(data, range(size, len(data), size)), pause)


# --- scripts in files ------------------------------------------------------------------------------------------

def step_from_json(step: dict) -> Step:
    kind, value = next(iter(step.items()))
    makers = {"send": lambda: Send(value.encode()), "send_base64": lambda: Send(base64.b64decode(value)),
              "pause": lambda: Pause(float(value)), "silence": Silence, "reset": Reset, "close": Close,
              "hold": lambda: Hold(value),
              "repeat": lambda: Repeat(value.encode(), float(step.get("every", 0)), step.get("times"))}
    if kind not in makers:
        raise ValueError(f"unknown step {kind!r}; known are {', '.join(makers)}")
    return makers[kind]()


def reply_from_json(spec: dict) -> Reply:
    """{"steps": [...]}, {"status": 503, "body": ..., "headers": {...}}, {"answer": "text"} or
    {"stream": ["words", ...], "pace": 0.01, "framing": "chunked", "usage": true, "finish": "stop", "done": true}."""
    headers = list(spec.get("headers", {}).items())
    if "steps" in spec:
        return Reply(tuple(step_from_json(step) for step in spec["steps"]))
    if "answer" in spec:
        return answer(spec["answer"], headers=headers)
    if "stream" in spec:
        shape = {key: spec[key] for key in ("role", "finish", "usage", "done", "newline", "model") if key in spec}
        return stream(events(spec["stream"], **shape), spec.get("pace", 0.0), spec.get("framing", "chunked"), headers)
    return whole(spec["status"], spec.get("body", ""), headers, spec.get("content_type", "application/json"))
