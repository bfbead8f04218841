#!/usr/bin/env python3
"""Many Backends over TLS: how long the start takes, how much memory it is, and how long requests wait during reloads.

Each Backend has an origin of its own at one TLS server in this process, whose certificate a CA made for the purpose has
signed; requests go to one Backend over plain HTTP all the time.

  script/bench tls [--backends 1,20,200] [--reloads 5]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

ANSWER = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
LIMITS = {"ready_s": 0.5, "slowest_ms": 20.0, "mib": 40}  # with 200 Backends


def certificates(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """(certificate that is its own CA, key) for localhost."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
                   check=True, capture_output=True)
    return certificate, key


class Upstream:
    """Answers every request on both ports, over TLS and without."""

    def __init__(self, certificate: pathlib.Path, key: pathlib.Path):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def serve() -> None:
            servers = [await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=tls, backlog=4096) for tls in (context, None)]
            self.tls_port, self.port = (server.sockets[0].getsockname()[1] for server in servers)
            ready.set()
        self._loop.create_task(serve())
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        ready.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def config(count: int, upstream: Upstream, ca: pathlib.Path, round: int) -> str:
    text = '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n[log]\naccess = "off"\n'
    text += f'[[backend]]\nname = "plain"\nbase_url = "http://127.0.0.1:{upstream.port}/v1"\n'
    for number in range(count):
        text += (f'[[backend]]\nname = "b{number}"\nbase_url = "https://localhost:{upstream.tls_port}/v1"\nca_file = "{ca}"\n'
                 f'headers = {{ x-round = "{round}" }}\n')
    return text + '[[route]]\nmodel = "*"\ntargets = [ { backend = "plain" } ]\n'


class Client:
    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port))
        body = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}).encode()
        self.request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def ask(self) -> float:
        """Seconds."""
        began = time.perf_counter()
        self.socket.sendall(self.request)
        got = b""
        while not got.endswith(ANSWER):
            piece = self.socket.recv(65536)
            assert piece, got
            got += piece
        return time.perf_counter() - began


def run(binary: str, count: int, reloads: int, folder: pathlib.Path, upstream: Upstream, ca: pathlib.Path) -> dict:
    home = folder / f"home-{count}"
    home.mkdir()
    file = home / "spillway.toml"
    file.write_text(config(count, upstream, ca, 0))
    began = time.perf_counter()
    with (home / "stderr").open("wb") as stderr:
        process = subprocess.Popen([binary, "serve", "--config", str(file), "--data", str(home / "data")], stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        port = int(process.stdout.readline().strip().rsplit(":", 1)[1].split("/")[0])
        client = Client(port)
        client.ask()
        ready = time.perf_counter() - began
        calm = max(client.ask() for _ in range(300))
        mib = int(open(f"/proc/{process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
        slowest = 0.0
        for round in range(1, reloads + 1):
            file.write_text(config(count, upstream, ca, round))
            process.send_signal(signal.SIGHUP)
            end = time.perf_counter() + 1.5
            while time.perf_counter() < end:
                slowest = max(slowest, client.ask())
        taken_up = (home / "stderr").read_text().count("took up the changed config")
        assert taken_up == reloads, f"{taken_up} of {reloads} reloads were taken up"
        return {"backends": count, "ready_s": ready, "mib": mib, "calm_ms": calm * 1e3, "slowest_ms": slowest * 1e3}
    finally:
        process.terminate()
        process.wait(20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default="1,20,200")
    parser.add_argument("--reloads", type=int, default=5)
    asked = parser.parse_args()
    binary = os.environ["SPILLWAY_BINARY"]
    bad = False
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        certificate, key = certificates(folder)
        upstream = Upstream(certificate, key)
        print("Backends  ready      memory    slowest request: calm, during reloads")
        for count in map(int, asked.backends.split(",")):
            got = run(binary, count, asked.reloads, folder, upstream, certificate)
            print(f"{count:8}  {got['ready_s']:5.2f} s  {got['mib']:6.1f} MiB  {got['calm_ms']:22.1f} ms  {got['slowest_ms']:6.1f} ms", flush=True)
            over = [f"{name} {got[name]:.1f} above {limit}" for name, limit in LIMITS.items() if got[name] > limit]
            if over:
                print("  " + ", ".join(over))
                bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
