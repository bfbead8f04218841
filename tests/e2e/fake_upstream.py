"""A scripted OpenAI-compatible provider that can misbehave on the wire in every way a real one does.

In a test:      with FakeUpstream() as upstream: upstream.script(error(503), answer("hi")) ...
By itself:      python3 fake_upstream.py --script replies.json [--port 0] [--log requests.jsonl]

Each request takes the next Reply of the script; the last one repeats. A Reply may be a function of the
Request. GET requests (health probes, model lists) are answered with a model list and do not use up the script.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import struct
import sys
import threading
import time
from typing import Callable, Union

from replies import (Close, Hold, Pause, Repeat, Reply, Reset, Send, Silence, Step, answer, events, reply_from_json,
                     stream, whole)

Scripted = Union[Reply, Callable[["Request"], Reply]]


class ClientLeft(Exception):
    """The other side closed or reset the connection while a Reply was under way."""


class Request:
    """One request as it came: bytes, header order and case kept."""

    def __init__(self, connection: "_Connection", raw_head: bytes, body: bytes, raw: bytes):
        lines = raw_head.decode("latin-1").split("\r\n")
        self.connection = connection
        self.method, self.target, self.version = (lines[0].split(" ") + ["", ""])[:3]
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if ":" in line]
        self.body = body
        self.raw = raw
        self.arrived_at = time.monotonic()
        self.bytes_sent = 0       # of the Reply, taken by the kernel or the write buffer (at most 64 KiB)
        self.answered = False     # every Step of the Reply is done

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def left_at(self) -> float | None:
        """When the client left (time.monotonic()); nothing as long as it is there."""
        return self.connection.left_at

    @property
    def sni(self) -> str | None:
        return self.connection.sni

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def header_names(self) -> list[str]:
        return [name.lower() for name, _ in self.headers]


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: "FakeUpstream"):
        self.upstream = upstream
        self.buffer = bytearray()
        self.received = asyncio.Event()
        self.left = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.left_at: float | None = None
        self.sni: str | None = None
        self.session_reused = False

    # asyncio.Protocol

    def connection_made(self, transport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=64 * 1024)
        ssl_object = transport.get_extra_info("ssl_object")
        self.sni = getattr(ssl_object, "requested_name", None)
        self.session_reused = bool(getattr(ssl_object, "session_reused", False))
        self.upstream.connections.append(self)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.upstream.bytes_received += len(data)
        self.received.set()

    def eof_received(self) -> bool:
        self._note_leaving()
        return False

    def connection_lost(self, _error) -> None:
        self._note_leaving()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def _note_leaving(self) -> None:
        if self.left_at is None:
            self.left_at = time.monotonic()
        self.left.set()
        self.received.set()
        self.writable.set()

    # requests

    async def _fill(self) -> None:
        if self.left.is_set():
            raise ClientLeft
        self.received.clear()
        await self.received.wait()

    async def _read_line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            await self._fill()
        return self._take(self.buffer.index(b"\r\n") + 2)

    def _take(self, size: int) -> bytes:
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    async def _exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            await self._fill()
        return self._take(size)

    async def _read_request(self) -> Request:
        while b"\r\n\r\n" not in self.buffer:
            await self._fill()
        raw_head = self._take(self.buffer.index(b"\r\n\r\n") + 4)
        request = Request(self, raw_head[:-4], b"", raw_head)
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            while True:
                line = await self._read_line()
                data = await self._exactly(int(line.split(b";")[0], 16) + 2)
                request.raw += line + data
                request.body += data[:-2]
                if data == b"\r\n":
                    break
        else:
            request.body = await self._exactly(int(request.header("content-length") or 0))
            request.raw += request.body
        request.arrived_at = time.monotonic()
        return request

    # replies

    async def _serve(self) -> None:
        try:
            while True:
                request = await self._read_request()
                reply = self.upstream._next_reply(request)
                for step in reply.steps:
                    await self._do(step, request)
                request.answered = True
                if reply.steps and isinstance(reply.steps[-1], (Close, Reset)):
                    return
        except (ClientLeft, asyncio.CancelledError):
            pass
        finally:
            self.transport.close()

    async def _do(self, step: Step, request: Request) -> None:
        if isinstance(step, Send):
            await self._write(step.data, request)
        elif isinstance(step, Pause):
            await self._wait(self.left.wait(), step.seconds)
        elif isinstance(step, Hold):
            waits = [asyncio.ensure_future(self.upstream._gate(step.gate).wait()),
                     asyncio.ensure_future(self.left.wait())]
            _, open_waits = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in open_waits:
                wait.cancel()
        elif isinstance(step, Silence):
            await self.left.wait()
            raise ClientLeft
        elif isinstance(step, Repeat):
            count = 0
            while step.times is None or count < step.times:
                await self._write(step.data, request)
                await self._wait(self.left.wait(), step.every)
                count += 1
        elif isinstance(step, Reset):
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    async def _write(self, data: bytes, request: Request) -> None:
        await self.writable.wait()
        if self.left.is_set():
            raise ClientLeft
        self.transport.write(data)
        request.bytes_sent += len(data)
        await asyncio.sleep(0)

    @staticmethod
    async def _wait(event, seconds: float) -> None:
        if seconds <= 0:
            event.close()
            return await asyncio.sleep(0)
        try:
            await asyncio.wait_for(event, seconds)
        except asyncio.TimeoutError:
            pass


MODELS = {"object": "list", "data": [{"id": "fake-model", "object": "model", "created": 0, "owned_by": "fake"}]}


class FakeUpstream:
    """A provider on a port of its own; a context manager that serves in a thread of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0):
        self.tls = tls
        self.port = port
        self.requests: list[Request] = []      # every request but GET
        self.gets: list[Request] = []
        self.connections: list[_Connection] = []
        self.bytes_received = 0                # over all connections, so that also a torn request shows
        self.on_request: Callable[[Request], None] = lambda request: None
        self._replies: list[Scripted] = [answer_in_kind]
        self._gates: dict[str, asyncio.Event] = {}
        if tls is not None:
            tls.sni_callback = lambda sock, name, context: setattr(sock, "requested_name", name)

    def script(self, *replies: Scripted) -> "FakeUpstream":
        self._replies = list(replies)
        return self

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def release(self, gate: str = "gate") -> None:
        """Lets every Reply that holds at `gate` go on."""
        self._loop.call_soon_threadsafe(lambda: self._gate(gate).set())

    def close_connections(self) -> None:
        """Ends all that are open, as servers do with idle ones."""
        self._loop.call_soon_threadsafe(lambda: [one.transport.close() for one in self.connections if not one.transport.is_closing()])

    def wait_for_requests(self, count: int = 1, seconds: float = 5.0) -> list[Request]:
        deadline = time.monotonic() + seconds
        while len(self.requests) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"the upstream got {len(self.requests)} requests in {seconds} s, not {count}")
            time.sleep(0.002)
        return self.requests

    def __enter__(self) -> "FakeUpstream":
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(ready.set)), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the fake upstream did not start")
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def serve(self, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # failed handshakes are part of the play
        self._stop = asyncio.Event()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, ssl=self.tls,
                                                backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        ready()
        await self._stop.wait()
        server.close()
        for connection in self.connections:
            connection.transport.abort()
            connection.task.cancel()
        await asyncio.gather(*(connection.task for connection in self.connections), return_exceptions=True)

    def _gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def _next_reply(self, request: Request) -> Reply:
        if request.method == "GET":
            self.gets.append(request)
            return whole(200, MODELS)
        self.requests.append(request)
        self.on_request(request)
        scripted = self._replies[min(len(self.requests), len(self._replies)) - 1]
        return scripted(request) if callable(scripted) else scripted


def answer_in_kind(request: Request, words: tuple[str, ...] = ("Hello", " there"), model: str = "fake-model") -> Reply:
    """A right answer: a stream to those who ask for one (with usage, where asked), else whole."""
    asked = request.json
    if asked.get("stream"):
        usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        return stream(events(words, model=model, usage=usage))
    return answer("".join(words), model)


def echo_stream(request: Request, pace: float = 0.0) -> Reply:
    """Streams the words of the last message back."""
    text = request.json["messages"][-1]["content"]
    return stream(events([word + " " for word in text.split()]), pace)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", help='JSON list of replies, or "echo"', required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", help="file that gets one JSON line for each request")
    options = parser.parse_args()
    upstream = FakeUpstream(port=options.port)
    if options.script == "echo":
        upstream.script(lambda request: echo_stream(request, 0.01))
    else:
        with open(options.script, encoding="utf-8") as file:
            upstream.script(*[reply_from_json(spec) for spec in json.load(file)])
    if options.log:
        log = open(options.log, "a", encoding="utf-8", buffering=1)
        upstream.on_request = lambda request: print(json.dumps(
            {"method": request.method, "target": request.target, "headers": request.headers,
             "body": request.body.decode("utf-8", "replace")}), file=log)
    try:
        asyncio.run(upstream.serve(lambda: print(f"listening on {upstream.url}", flush=True)))
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
