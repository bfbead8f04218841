"""The real binary as a child process: configuration, start, addresses, end."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import threading
from pathlib import Path
from typing import Mapping, Sequence

import http_client
from clock import duration, eventually, slow

REPOSITORY = Path(__file__).resolve().parents[2]
SANITIZER_REPORT = re.compile(r"(ERROR: (Address|Leak|Undefined)\w*Sanitizer|WARNING: ThreadSanitizer|: runtime error: )")


def binary() -> Path:
    named = os.environ.get("SPILLWAY_BINARY")
    return Path(named) if named else REPOSITORY / "build" / os.environ.get("SPILLWAY_BUILD", "release") / "spillway"


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("SPILLWAY_CACHE") or f"{base}/spillway")


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without provider keys and Spillway's own settings; HOME is `home`."""
    kept = {name: value for name, value in os.environ.items()
            if not name.endswith("_API_KEY") and not name.startswith(("SPILLWAY_", "XDG_"))}
    kept |= {"HOME": str(home), "SPILLWAY_CACHE": str(cache_dir()), "NO_COLOR": "1"}
    kept.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
    kept.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    return kept | dict(extra or {})


def run(*arguments: str, home: Path, env: Mapping[str, str] | None = None, timeout: float = 8.0,
        cwd: Path | None = None) -> subprocess.CompletedProcess:
    """One command to its end, with its output as text."""
    return subprocess.run([str(binary()), *arguments], env=clean_environment(home, env), cwd=cwd or home, text=True,
                          capture_output=True, timeout=slow(timeout), stdin=subprocess.DEVNULL)


# --- configuration ---------------------------------------------------------------------------------------------

def toml_value(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {toml_value(item)}' for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _table(header: str, values: Mapping) -> str:
    return f"{header}\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items()) + "\n"


def config_text(backends: Sequence[Mapping], routes: Sequence[Mapping] | None = None, **sections: Mapping) -> str:
    """spillway.toml on port 0. Without `routes`, one route "*" over all Backends in order, asked for "m-NAME",
    without retries. `sections`: server, limits, defaults, log."""
    sections["server"] = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "threads": 2, "drain_timeout": "3s",
                          **sections.get("server", {})}
    if routes is None:
        targets = [{"backend": backend["name"]} if "engine" in backend
                   else {"backend": backend["name"], "model": f"m-{backend['name']}"} for backend in backends]
        routes = [{"model": "*", "targets": targets, "retries": 0}]
    return ("".join(_table(f"[{name}]", values) for name, values in sections.items())
            + "".join(_table("[[backend]]", backend) for backend in backends)
            + "".join(_table("[[route]]", route) for route in routes))


def openai_backend(name: str, port_or_url: int | str, **more) -> dict:
    url = port_or_url if isinstance(port_or_url, str) else f"http://127.0.0.1:{port_or_url}/v1"
    return {"name": name, "kind": "openai", "base_url": url, **more}


def backend_of(kind: str, name: str, port: int, **more) -> dict:
    """A Backend of any Dialect, with the base_url that its own SDK would have."""
    return {"name": name, "kind": kind, "base_url": f"http://127.0.0.1:{port}" + ("/v1" if kind == "openai" else ""), **more}


def local_backend(model: str, **more) -> dict:
    """One thread: several that wait for each other take many times as long where other tests run beside them."""
    return {"name": "local", "engine": "llama.cpp", "model": model, "tier": "edge", "context": 2048, "engine_threads": 1, **more}


def timeouts(first_token: float = 0.5, idle: float = 0.5) -> dict:
    """[defaults] with short waits, stretched on slow builds."""
    return {"first_token_timeout": duration(first_token), "idle_timeout": duration(idle)}


# --- the process -----------------------------------------------------------------------------------------------

def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Gateway:
    """`spillway serve` with `config`, in the folder `home` (config file, data, logs)."""

    def __init__(self, config: str | None, home: Path, env: Mapping[str, str] | None = None, data: Path | None = None,
                 arguments: Sequence[str] = ()):
        self.home = home
        self.data = data or home / "data"
        self.config_file = home / "spillway.toml"
        self.stdout_lines: list[str] = []
        self.stderr_file = home / "stderr.txt"
        self.returncode: int | None = None
        self._port: int | None = None
        self._admin_port: int | None = None
        home.mkdir(parents=True, exist_ok=True)
        command = [str(binary())]
        if config is not None:
            self.config_file.write_text(config)
            command += ["--config", str(self.config_file)]
        command += ["--data", str(self.data), "serve", *arguments]
        with self.stderr_file.open("wb") as stderr:
            self.process = subprocess.Popen(command, env=clean_environment(home, env), cwd=home, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=stderr, preexec_fn=_raise_file_limit)
        self._reader = threading.Thread(target=self._read_stdout, daemon=True)
        self._reader.start()

    def _read_stdout(self) -> None:
        for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.stdout_lines.append(line)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self.stderr_file.read_text(errors="replace")

    @property
    def output(self) -> str:
        """Everything it said so far, for messages."""
        return "\n".join(self.stdout_lines) + "\n" + self.stderr

    def _announced(self, what: str) -> int | None:
        for line in self.stdout_lines:
            match = re.search(rf"{what} on https?://[^\s:]+:(\d+)", line)
            if match:
                return int(match.group(1))
        if self.process.poll() is not None:
            self._reader.join(2)
            raise AssertionError(f"spillway serve ended with {self.process.returncode}:\n{self.output}")
        return None

    @property
    def port(self) -> int:
        """The data plane's port, as soon as it is told."""
        if self._port is None:
            self._port = eventually("`listening on` is printed", lambda: self._announced("listening"), 8)
        return self._port

    @property
    def admin_port(self) -> int:
        if self._admin_port is None:
            self._admin_port = eventually("`admin on` is printed", lambda: self._announced("admin"), 8)
        return self._admin_port

    def wait_until_alive(self) -> "Gateway":
        eventually("/healthz answers 200", lambda: self._status("/healthz") == 200, 8)
        return self

    def wait_until_ready(self, seconds: float = 30.0) -> "Gateway":
        eventually("/readyz answers 200", lambda: self._status("/readyz") == 200, seconds, every=0.02)
        return self

    def _status(self, target: str) -> int | None:
        port = self.port
        try:
            return http_client.get(port, target).status
        except OSError:
            return None

    def metrics(self) -> str:
        answer = http_client.get(self.admin_port, "/metrics")
        assert answer.status == 200, answer
        text = answer.body.decode()
        series = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
        assert len(series) == len(set(series)), f"series appear twice: {[one for one in series if series.count(one) > 1]}"
        return text

    def access_log(self) -> str:
        """DATA/log/access.jsonl so far."""
        file = self.data / "log" / "access.jsonl"
        return file.read_text() if file.exists() else ""

    def access_log_lines(self, count: int) -> list[str]:
        """Its lines, as soon as there are `count` of them."""
        return eventually(f"{count} lines are in the access log",
                          lambda: len(lines := self.access_log().splitlines()) >= count and lines, 2)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 10.0) -> int:
        """Its exit code; a process that does not end is killed, and the test fails."""
        try:
            self.returncode = self.process.wait(slow(seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.returncode = self.process.wait()
            raise AssertionError(f"spillway serve did not end within {slow(seconds):g} s:\n{self.output}") from None
        self._reader.join(2)
        return self.returncode

    def stop(self) -> None:
        """SIGTERM; asserts a clean end. Does nothing more when the test has ended it already."""
        if self.returncode is None and self.process.poll() is None:
            self.signal(signal.SIGTERM)
            code = self.wait()
            assert code == 0, f"spillway serve ended with {code} after SIGTERM:\n{self.output}"
        elif self.returncode is None:
            raise AssertionError(f"spillway serve died with {self.process.returncode}:\n{self.output}")
        report = SANITIZER_REPORT.search(self.output)
        assert report is None, f"a sanitizer reported:\n{self.output}"

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.returncode = self.process.wait()
