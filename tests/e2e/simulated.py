"""`spillway simulate` as an upstream."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path
from typing import Mapping, Sequence

import http_client
from clock import eventually
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
