"""The plug pulled in the middle of an answer, with real parts: demo.py BINARY

A simulated DeepSeek streams; it is killed (SIGKILL) after a few words; the local engine finishes the sentence. What the
client gets is printed as it comes: the provider's words plain, the local model's in colour where this is a terminal.
"""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

QUESTION = "Why is the sky blue? Answer in two sentences."
WORDS_BEFORE_THE_CUT = 15
PROFILE = '''model = "deepseek-flash"
first_token = "300ms"
tokens_per_second = 9
text = "The sky is blue because sunlight is scattered by the molecules of the air, and blue light, which has a shorter wavelength, is scattered more than red light."
'''
CONFIG = '''[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[[backend]]
name = "deepseek"
base_url = "http://127.0.0.1:{port}/v1"
[[backend]]
name = "local"
engine = "llama.cpp"
model = "smollm2:135m"
[[route]]
model = "*"
targets = [{{ backend = "deepseek", model = "deepseek-flash" }}, {{ backend = "local" }}]
retries = 0
'''
COLOUR = sys.stdout.isatty()


def coloured(text: str, code: int) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def say(text: str) -> None:
    print(text, end="", flush=True)


def started(command: list[str], marks: list[str]) -> tuple[subprocess.Popen, list[int]]:
    """The process, and the ports that it tells in lines with each of `marks`."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    ports = []
    for mark in marks:
        for line in iter(process.stdout.readline, ""):
            if mark in line:
                ports.append(int(line.split("127.0.0.1:")[1].split("/")[0]))
                break
        else:
            raise SystemExit(f"error: {command[1:]} ended before it was ready")
    return process, ports


def local_is_ready(admin: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=5)
    connection.request("GET", "/admin/v1/status")
    backends = json.loads(connection.getresponse().read())["backends"]
    return any(backend["name"] == "local" and backend["state"] == "ready" for backend in backends)


def stream(port: int, provider: subprocess.Popen) -> list[dict]:
    body = {"model": "deepseek-flash", "stream": True, "max_tokens": 200, "temperature": 0,
            "messages": [{"role": "user", "content": QUESTION}]}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    chunks, words, resumed = [], 0, False
    for raw in answer:
        line = raw.decode().rstrip("\r\n")
        if line.startswith(": spillway "):
            told = json.loads(line.removeprefix(": spillway "))
            resumed = True
            say(coloured(f"[{told['reason']}: {told['backend']} goes on]", 33))
        if not line.startswith("data: {"):
            continue
        chunks.append(json.loads(line.removeprefix("data: ")))
        for choice in chunks[-1]["choices"]:
            text = choice["delta"].get("content") or ""
            say(coloured(text, 32) if resumed else text)
            words += 1 if text else 0
        if words == WORDS_BEFORE_THE_CUT and provider.poll() is None:
            provider.send_signal(signal.SIGKILL)
            provider.wait()
            say(coloured(" ✂ kill -9 ", 31))
    say("\n\n")
    return chunks


def main() -> int:
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="spillway-demo-") as name:
        folder = pathlib.Path(name)
        (folder / "profile.toml").write_text(PROFILE)
        provider, (provider_port,) = started([binary, "simulate", "--listen", "127.0.0.1:0", "--profile", str(folder / "profile.toml")],
                                             ["simulated provider on"])
        config = folder / "spillway.toml"
        config.write_text(CONFIG.format(port=provider_port))
        gateway = None
        try:
            gateway, (port, admin) = started([binary, "--config", str(config), "--log-level", "error", "serve"],
                                             ["listening on", "admin on"])
            while not local_is_ready(admin):
                time.sleep(0.1)
            say(coloured(f"you:      {QUESTION}\n", 36) + "spillway: ")
            chunks = stream(port, provider)
            finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice.get("finish_reason")]
            say(f"One answer: {len({chunk['id'] for chunk in chunks})} id, finish_reason {', '.join(finishes)}.\n\n")
            status = [binary, "status", "--admin", f"127.0.0.1:{admin}"]
            say(coloured("$ spillway status\n", 36))
            subprocess.run(status, check=True)
            return 0 if len(finishes) == 1 else 1
        finally:
            for process in (provider, gateway):
                if process and process.poll() is None:
                    process.terminate()
                    process.wait()


if __name__ == "__main__":
    os.environ.pop("SPILLWAY_CONFIG", None)
    sys.exit(main())
