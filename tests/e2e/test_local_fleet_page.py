"""docs/local-fleet.md, run from its first command to its last."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from clock import slow
from docker_daemon import DockerDaemon
from gateway import binary, clean_environment

pytestmark = pytest.mark.timeout(240)

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/local-fleet.md"
BLOCK = re.compile(r"(?:^`([\w.]+)`[^\n]*:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def script_of(page: str) -> str:
    """One bash script: files are written where they stand, commands are run in their order."""
    out = ["set -eu"]
    for file, language, text in BLOCK.findall(page):
        if language == "toml":
            out.append(f"cat > {file} <<'END_OF_FILE'\n{text}END_OF_FILE")
        else:
            assert language == "sh", language
            out.append(text)
    return "\n".join(out)


def test_every_command_of_the_page_does_what_it_says(engine_data, tmp_path):
    page = PAGE.read_text().replace("8080", str(free_port())).replace("8081", str(free_port()))
    script = script_of(page)
    assert script.count("spillway ") > 12 and "deploy destroy" in script
    (tmp_path / "script").symlink_to(ROOT / "script")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/spillway").symlink_to(binary())
    subprocess.run(["cp", "-al", str(engine_data / "models"), str(tmp_path / "data-models")], check=True)
    (tmp_path / "data").mkdir()
    shutil.move(tmp_path / "data-models", tmp_path / "data/models")
    with DockerDaemon().running() as daemon:
        env = clean_environment(tmp_path, {**daemon.environment, "SPILLWAY_DATA": str(tmp_path / "data")})
        env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"
        got = subprocess.run(["bash", "-m", "-c", script], cwd=tmp_path, env=env, text=True, capture_output=True, timeout=slow(200))
        output = got.stdout + got.stderr + (tmp_path / "serve.log").read_text()
        assert got.returncode == 0, output
        assert daemon.containers() == [], output
    for sign in ("smollm2:135m", "2 to create", '"finish_reason"', "governor local/1", "autoscale local: 2 of 2 to 3 replicas", "--cap-drop ALL"):
        assert sign in got.stdout, (sign, output)
