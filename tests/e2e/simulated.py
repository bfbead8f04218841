"""`spillway simulate` as an upstream."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import threading
from pathlib import Path
from typing import Mapping, Sequence

import http_client
from clock import eventually, slow
from gateway import binary, clean_environment, toml_value

FAST = {"first_token": "10ms", "tokens_per_second": 1000, "tokens": 40}


def profile_text(profile: Mapping) -> str:
    faults = profile.get("fault", [])
    text = "".join(f"{key} = {toml_value(value)}\n" for key, value in profile.items() if key not in ("fault", "day"))
    for fault in faults:
        text += "[[fault]]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in fault.items())
    if "day" in profile:
        text += "[day]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in profile["day"].items())
    return text


class Simulated:
    """A running `spillway simulate` with `profile` (over FAST)."""

    def __init__(self, folder: Path, profile: Mapping, arguments: Sequence[str] = ()):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "profile.toml"
        file.write_text(profile_text({**FAST, **profile}))
        self.lines: list[str] = []
        self.process = subprocess.Popen([str(binary()), "simulate", "--profile", str(file), "--listen", "127.0.0.1:0", *arguments],
                                        env=clean_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        stdin=subprocess.DEVNULL)
        self._reader = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True)
        self._reader.start()
        first = eventually("it says where it listens", lambda: self.lines and self.lines[0], 8)
        self.port = int(first.rsplit(":", 1)[1].split("/")[0])

    @property
    def stats(self) -> dict:
        return http_client.get(self.port, "/simulate/stats").json

    @property
    def requests(self) -> list[dict]:
        return http_client.get(self.port, "/simulate/requests").json["requests"]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(8) == 0, "".join(self.lines)
        self._reader.join(2)


# --- many streams over few connections -------------------------------------------------------------------------

async def stream_of(reader, writer, content: str) -> str:
    body = json.dumps(http_client.chat_body(content, stream=True)).encode()
    writer.write(f"POST {http_client.CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    payload = bytearray()
    while size := int(await reader.readline(), 16):
        payload += (await reader.readexactly(size + 2))[:size]
    await reader.readline()
    events = [event[6:] for event in bytes(payload).split(b"\n\n") if event.startswith(b"data:")]
    assert events[-1] == b"[DONE]", payload[-300:]
    return "".join(choice["delta"].get("content") or "" for event in events[:-1] for choice in json.loads(event)["choices"])


async def streams(port: int, contents: list[str], at_once: int) -> list[str]:
    """The answers, over `at_once` connections that are kept."""
    answers, left = [""] * len(contents), iter(range(len(contents)))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for i in left:
            answers[i] = await stream_of(reader, writer, contents[i])
        writer.close()
    await asyncio.wait_for(asyncio.gather(*(client() for _ in range(at_once))), slow(100))
    return answers
