"""`spillway deploy`: what is told is done, `serve` takes it over, and what is exported runs without Spillway."""

from __future__ import annotations

import json
import subprocess

import pytest

import http_client
from clock import eventually, slow
from docker_daemon import contained
from gateway import clean_environment, config_text, local_backend, run
from http_client import chat, chat_body

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded, pytest.mark.timeout(120)]


@pytest.fixture
def deploy(daemon, tmp_path):
    """deploy(command, *arguments): `spillway deploy` in the folder of this test."""
    def call(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess:
        got = run("--data", str(tmp_path / "data"), "--config", str(tmp_path / "spillway.toml"), "deploy", *arguments,
                  home=tmp_path, env=daemon.environment, timeout=30)
        assert got.returncode == expect, got.stdout + got.stderr
        return got

    yield call
    for each in daemon.containers():
        daemon.ask("DELETE", f"/containers/{each['Id']}?force=1")


def write_config(tmp_path, *backends: dict) -> str:
    text = config_text(list(backends))
    (tmp_path / "spillway.toml").write_text(text)
    return text


def changes(deploy, command: str = "plan") -> dict[str, str]:
    return {each["backend"]: each["change"] for each in json.loads(deploy(command, "--json").stdout)}


def test_what_is_planned_is_done_and_taken_over(deploy, daemon, digest, model_file, tmp_path, gateway):
    config = write_config(tmp_path, contained(model_file, digest, replicas=2, cpus=1, memory="512MiB"))
    told = deploy("plan").stdout
    assert told.count("create") == 3 and "engine:1" in told and "1 cpus" in told and "2 to create" in told, told
    assert daemon.containers() == []
    assert changes(deploy, "apply") == {"local/1": "create", "local/2": "create"}
    ids = {each["Id"] for each in daemon.containers()}
    assert len(ids) == 2 and changes(deploy) == {"local/1": "keep", "local/2": "keep"}
    assert changes(deploy, "apply") == {"local/1": "keep", "local/2": "keep"} and {each["Id"] for each in daemon.containers()} == ids

    served = gateway(config, env=daemon.environment, data=tmp_path / "data").wait_until_ready(60)
    eventually("both were found", lambda: served.stderr.count("found running") == 2, 10)
    assert chat(served.port, chat_body("hi", max_tokens=4), timeout=60).status == 200
    assert {each["Id"] for each in daemon.containers()} == ids

    for command in ("apply", "destroy"):
        got = deploy(command, expect=1)
        assert "already looks after the containers" in got.stderr and "reload that gateway" in got.stderr
    assert changes(deploy) == {"local/1": "keep", "local/2": "keep"}
    other = run("--data", str(tmp_path / "data"), "--config", str(tmp_path / "spillway.toml"), "serve", home=tmp_path, env=daemon.environment)
    assert other.returncode == 1 and "already looks after the containers" in other.stderr, other.stderr
    assert {each["Id"] for each in daemon.containers()} == ids
    served.kill()
    deploy("destroy")
    assert daemon.containers() == []


def test_what_has_changed_is_replaced_and_what_is_unwanted_removed(deploy, daemon, digest, model_file, tmp_path):
    write_config(tmp_path, contained(model_file, digest), contained(model_file, digest, name="b"))
    deploy("apply")
    write_config(tmp_path, contained(model_file, digest, context=512))
    assert changes(deploy) == {"local": "replace", "b": "remove"}
    deploy("apply")
    assert changes(deploy) == {"local": "keep"} and len(daemon.containers()) == 1
    daemon.ask("POST", f"/containers/{daemon.containers()[0]['Id']}/kill")
    assert changes(deploy) == {"local": "replace"}
    deploy("apply")
    assert deploy("destroy").stdout.startswith("removed  spillway-") and daemon.containers() == []
    assert deploy("destroy").stdout == ""


def test_a_wrong_digest_is_refused_before_anything_is_done(deploy, daemon, digest, model_file, tmp_path):
    write_config(tmp_path, contained(model_file, digest), contained(model_file, "sha256:" + "0" * 64, name="b"))
    for command in ("plan", "apply"):
        got = deploy(command, expect=1)
        assert digest in got.stderr and "mend:" in got.stderr
    assert daemon.containers() == []


def test_what_is_exported_runs_without_spillway(deploy, daemon, digest, model_file, tmp_path):
    write_config(tmp_path, contained(model_file, digest, cpus=1.5, memory="512MiB"))
    printed = deploy("export", "--output", str(tmp_path / "out"), "--first-port", "18443").stdout.split()
    assert printed == [str(tmp_path / "out/compose.yaml"), str(tmp_path / "out/docker-run.sh")]
    for file in printed:
        text = open(file).read()
        assert digest in text and "SPILLWAY_ENGINE_KEY" in text and "18443" in text
    env = clean_environment(tmp_path, {**daemon.environment, "SPILLWAY_ENGINE_KEY": "a-key"})
    subprocess.run(["sh", printed[1]], env=env, check=True, capture_output=True, timeout=slow(30))
    container = daemon.inspect(daemon.containers()[0]["Id"])
    host = container["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (1_500_000_000, 512 << 20, 512 << 20)
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["SecurityOpt"] == ["no-new-privileges"]
    assert [(mount["Source"], mount["RW"]) for mount in container["Mounts"]] == [(str(model_file), False)]
    eventually("the engine is well", lambda: _status(18443) == 200, 30)
    body = chat_body("hi", max_tokens=2)
    assert chat(18443, body).status == 401 and chat(18443, body, {"authorization": "Bearer a-key"}).status == 200


def _status(port: int) -> int | None:
    try:
        return http_client.get(port, "/health").status
    except OSError:
        return None


def test_without_a_container_backend_there_is_nothing_to_do(deploy, model_file, tmp_path):
    write_config(tmp_path, local_backend(str(model_file)))
    assert "0 to create, 0 to replace, 0 to remove" in deploy("plan").stdout
    assert "nothing to export" in deploy("export", expect=1).stderr
