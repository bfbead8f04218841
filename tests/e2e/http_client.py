"""A strict HTTP/1.1 and SSE client over plain sockets: it shows what really came, byte by byte."""

from __future__ import annotations

import itertools
import json
import re
import socket
import time
from dataclasses import dataclass, field
from typing import Iterator, Mapping, Sequence, Union

from clock import slow

Headers = Union[Mapping[str, str], Sequence[tuple[str, str]]]


LINE_END = re.compile(rb"\r\n|\n|\r")


class Malformed(AssertionError):
    """The gateway sent what is not HTTP/1.1 or not SSE."""


@dataclass
class Answer:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """What the assistant says in a chat completion."""
        return self.json["choices"][0]["message"]["content"]

    @property
    def error(self) -> dict:
        return self.json["error"]

    @property
    def attempts(self) -> int:
        return int(self.header("x-spillway-attempts") or -1)


class Connection:
    """One connection to 127.0.0.1:`port`. Every wait ends after `timeout` seconds (times the slow factor)."""

    def __init__(self, port: int, timeout: float = 8.0, receive_buffer: int | None = None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(slow(timeout))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.ended = False
        self.received_at = 0.0

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, method: str, target: str, body: bytes | None = None, headers: Headers = (),
                host: str = "127.0.0.1") -> None:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"] + [f"{name}: {value}" for name, value in pairs]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    # reading

    def fill(self) -> bool:
        """Reads once; False at the end of the connection, a reset included."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        self.received_at = time.monotonic()
        self.buffer += data
        self.ended = self.ended or not data
        return bool(data)

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self.fill():
                raise ConnectionError(f"the connection ended before {mark!r}; got {bytes(self.buffer[:400])!r}")
        return self._take(self.buffer.index(mark) + len(mark))

    def read_exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not self.fill():
                raise ConnectionError(f"the connection ended {size - len(self.buffer)} bytes early")
        return self._take(size)

    def read_to_end(self) -> bytes:
        while self.fill():
            pass
        return self._take(len(self.buffer))

    def _take(self, size: int) -> bytes:
        data = bytes(memoryview(self.buffer)[:size])
        del self.buffer[:size]
        return data

    def read_head(self) -> Answer:
        raw = self.read_until(b"\r\n\r\n")[:-4].decode("latin-1")
        first, *rest = raw.split("\r\n")
        version, status, *reason = first.split(" ", 2)
        if version not in ("HTTP/1.1", "HTTP/1.0") or not status.isdigit():
            raise Malformed(f"not a status line: {first!r}")
        headers = []
        for line in rest:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Malformed(f"not a header line: {line!r}")
            headers.append((name, value.strip()))
        answer = Answer(int(status), reason[0] if reason else "", headers, version=version)
        if answer.header("content-length") is not None and answer.header("transfer-encoding") is not None:
            raise Malformed("both Content-Length and Transfer-Encoding in an answer")
        return answer

    def body_parts(self, answer: Answer) -> Iterator[bytes]:
        """The body as it comes, without its framing."""
        length = answer.header("content-length")
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            while True:
                size = int(self.read_until(b"\r\n")[:-2].split(b";")[0], 16)
                data = self.read_exactly(size + 2)
                if data[-2:] != b"\r\n":
                    raise Malformed(f"a chunk does not end in CRLF but in {data[-2:]!r}")
                if size == 0:
                    return
                yield data[:-2]
        elif length is not None:
            left = int(length)
            while left > 0:
                if not self.buffer and not self.fill():
                    raise ConnectionError(f"the connection ended {left} bytes early")
                data = self._take(min(left, len(self.buffer)))
                left -= len(data)
                yield data
        else:
            while self.buffer or self.fill():
                yield self._take(len(self.buffer))

    def read_answer(self, method: str = "POST") -> Answer:
        answer = self.read_head()
        if method != "HEAD" and answer.status not in (204, 304) and answer.status >= 200:
            answer.body = b"".join(self.body_parts(answer))
        return answer


@dataclass
class Streamed:
    """A whole SSE answer, taken apart."""
    answer: Answer
    payloads: list[str] = field(default_factory=list)   # the data of each event, [DONE] included
    comments: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)    # arrival of each payload
    torn: str | None = None                             # why the body ended before its framing said so

    @property
    def chunks(self) -> list[dict]:
        return [json.loads(payload) for payload in self.payloads if payload != "[DONE]"]

    def _choices(self) -> list[dict]:
        return [choice for chunk in self.chunks for choice in chunk.get("choices", [])]

    @property
    def text(self) -> str:
        return "".join(choice["delta"].get("content") or "" for choice in self._choices())

    @property
    def roles(self) -> list[str]:
        return [choice["delta"]["role"] for choice in self._choices() if choice["delta"].get("role")]

    @property
    def finish_reasons(self) -> list[str]:
        return [choice["finish_reason"] for choice in self._choices() if choice.get("finish_reason")]

    @property
    def usages(self) -> list[dict]:
        return [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]

    @property
    def errors(self) -> list[dict]:
        return [chunk["error"] for chunk in self.chunks if chunk.get("error")]

    @property
    def done(self) -> int:
        return self.payloads.count("[DONE]")


class SseReader:
    """Reads events of one answer as the SSE specification says; comments are kept apart."""

    def __init__(self, connection: Connection, answer: Answer):
        self.connection = connection
        self.streamed = Streamed(answer)
        self._events = self._parse(connection.body_parts(answer))

    def __iter__(self) -> Iterator[str]:
        return self._events

    def next(self) -> str:
        return next(self._events)

    def _parse(self, parts: Iterator[bytes]) -> Iterator[str]:
        pending, data = b"", []
        for part in itertools.chain(parts, [b""]):
            pending += part
            held = b"\r" if part and pending.endswith(b"\r") else b""   # perhaps the first half of a CRLF
            pieces = LINE_END.split(pending[:len(pending) - len(held)])
            pending = pieces.pop() + held
            for line in pieces:
                text = line.decode("utf-8")
                if text.startswith(":"):
                    self.streamed.comments.append(text[1:].strip())
                elif text.startswith("data:"):
                    data.append(text[5:].removeprefix(" "))
                elif not text and data:
                    payload, data = "\n".join(data), []
                    self.streamed.payloads.append(payload)
                    self.streamed.times.append(self.connection.received_at)
                    yield payload
        if pending or data:
            raise Malformed(f"the stream ended inside an event: {pending[:200]!r}")

    def rest(self) -> Streamed:
        try:
            for _ in self._events:
                pass
        except ConnectionError as error:
            self.streamed.torn = str(error)
        return self.streamed


# --- the usual requests ----------------------------------------------------------------------------------------

CHAT = "/v1/chat/completions"


def chat_body(content: str = "Say hello", model: str = "test", **more) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def encode(body: dict | bytes | None) -> bytes | None:
    return json.dumps(body).encode() if isinstance(body, dict) else body


def call(port: int, method: str, target: str, body: dict | bytes | None = None, headers: Headers = (),
         timeout: float = 8.0) -> Answer:
    with Connection(port, timeout) as connection:
        connection.request(method, target, encode(body), headers)
        return connection.read_answer(method)


def get(port: int, target: str, headers: Headers = ()) -> Answer:
    return call(port, "GET", target, None, headers)


JSON = ("Content-Type", "application/json")


def chat(port: int, body: dict | bytes | None = None, headers: Headers = (), timeout: float = 8.0) -> Answer:
    """One chat completion, not streamed unless `body` says so."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    return call(port, "POST", CHAT, chat_body() if body is None else body, [JSON, *pairs], timeout)


def open_stream(connection: Connection, body: dict | bytes | None = None, headers: Headers = ()) -> SseReader:
    """Asks for a stream and reads its head, which must be a 200."""
    connection.request("POST", CHAT, encode(body or chat_body(stream=True)), [JSON, *headers])
    answer = connection.read_head()
    if answer.status != 200:
        answer.body = b"".join(connection.body_parts(answer))
        raise AssertionError(f"no stream but {answer.status}: {answer.body[:2000]!r}")
    kind = answer.header("content-type") or ""
    assert kind.startswith("text/event-stream"), f"a stream of type {kind!r}"
    return SseReader(connection, answer)


def stream_chat(port: int, body: dict | bytes | None = None, headers: Sequence[tuple[str, str]] = (),
                timeout: float = 8.0) -> Streamed:
    """One streamed chat completion, read to its end."""
    with Connection(port, timeout) as connection:
        return open_stream(connection, body, headers).rest()
