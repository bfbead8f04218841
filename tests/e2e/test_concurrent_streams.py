"""A thousand streams at once, all of them complete and right."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from clock import slow
from gateway import config_text, openai_backend
from http_client import CHAT, chat_body, get

STREAMS = 1000


@pytest.fixture
def echo_port():
    """A fake upstream in a process of its own that streams each request's words back, 10 ms apart."""
    command = [sys.executable, str(Path(__file__).with_name("fake_upstream.py")), "--script", "echo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline().rsplit(":", 1)[1])
        process.terminate()


async def one_stream(port: int, content: str, gate: asyncio.Event, opened: asyncio.Semaphore) -> str:
    async with opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await gate.wait()
    body = json.dumps(chat_body(content, stream=True)).encode()
    writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    raw = await reader.read()
    writer.close()
    head, _, rest = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    payload = bytearray()
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        payload += rest[:int(size, 16)]
        rest = rest[int(size, 16) + 2:]
    events = [event.removeprefix(b"data: ") for event in payload.split(b"\n\n") if event.startswith(b"data:")]
    assert events[-1] == b"[DONE]"
    deltas = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert deltas[-1]["finish_reason"] == "stop"
    return "".join(choice["delta"].get("content") or "" for choice in deltas)


async def all_streams(port: int, texts: list[str]) -> list[str]:
    gate, opened = asyncio.Event(), asyncio.Semaphore(100)
    tasks = [asyncio.create_task(one_stream(port, text, gate, opened)) for text in texts]
    await asyncio.sleep(0)
    gate.set()
    return await asyncio.wait_for(asyncio.gather(*tasks), slow(30))


@pytest.mark.timeout(60)
def test_a_thousand_concurrent_streams_are_all_complete_and_right(gateway, echo_port):
    served = gateway(config_text([openai_backend("a", echo_port)],
                                 defaults={"first_token_timeout": "60s", "idle_timeout": "60s", "connect_timeout": "20s"}))
    texts = [" ".join(f"s{stream}w{word}早" for word in range(20)) + " " for stream in range(STREAMS)]
    assert asyncio.run(all_streams(served.port, texts)) == texts
    assert get(served.port, "/healthz").status == 200
