"""Local Backends in containers of a real Docker engine, with the real llama-server."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from clock import eventually
from docker_daemon import contained, image_tar
from gateway import config_text
from http_client import chat, chat_body, get, stream_chat
from image_registry import ImageRegistry
from processes import alive

pytestmark = [pytest.mark.sanitized, pytest.mark.threaded, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def nothing_is_left(daemon):
    yield
    left = daemon.containers()
    for each in left:
        daemon.ask("DELETE", f"/containers/{each['Id']}?force=1")
    assert left == []


def only(daemon) -> dict:
    """The only container, inspected."""
    found = daemon.containers()
    assert len(found) == 1, found
    return daemon.inspect(found[0]["Id"])


def replica(served, name: str = "local") -> dict:
    return {each["name"]: each for each in get(served.admin_port, "/admin/v1/status").json["backends"]}[name]


def keep_busy(served, count: int) -> list[threading.Thread]:
    body = chat_body("Tell me a story.", stream=True, max_tokens=150, ignore_eos=True)
    threads = [threading.Thread(target=lambda: stream_chat(served.port, body, timeout=170)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def group_of(container: dict, controller: str) -> Path:
    """The folder of the container's control group, of version 1 or 2, as this machine has it."""
    for line in Path(f"/proc/{container['State']['Pid']}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}")
        if controllers == "" and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return Path(f"/sys/fs/cgroup{path}")
    raise AssertionError(f"no group for {controller}")


def memory_limit(container: dict) -> int:
    group = group_of(container, "memory")
    files = [group / "memory.max", group / "memory.limit_in_bytes"]
    return int(next(file for file in files if file.exists()).read_text())


def processor_seconds_of(container: dict) -> float:
    group = group_of(container, "cpuacct")
    if (group / "cpuacct.usage").exists():
        return int((group / "cpuacct.usage").read_text()) / 1e9
    return int((group / "cpu.stat").read_text().split()[1]) / 1e6


def test_an_engine_in_a_container_answers_and_has_no_more_than_it_needs(gateway, daemon, digest, model_file):
    served = gateway(config_text([contained(model_file, digest)]), env=daemon.environment).wait_until_ready(30)
    got = chat(served.port, chat_body("hi", max_tokens=4), timeout=60)
    assert got.status == 200 and got.header("x-spillway-backend") == "local" and got.text
    container = only(daemon)
    host = container["HostConfig"]
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["SecurityOpt"] == ["no-new-privileges"]
    assert host["NetworkMode"] == "host" and not host["Privileged"] and host["PidsLimit"] > 0
    assert host["NanoCpus"] == 0 and host["Memory"] == 0
    assert [(mount["Source"], mount["RW"]) for mount in container["Mounts"]] == [(str(model_file), False)]
    assert container["Config"]["User"] == f"{os.geteuid()}:{os.getegid()}"
    assert container["Config"]["Labels"]["spillway.backend"] == "local"
    assert replica(served)["pid"] == container["State"]["Pid"]
    status = Path(f"/proc/{container['State']['Pid']}/status").read_text()
    assert "NoNewPrivs:\t1" in status and "CapEff:\t0000000000000000" in status
    served.stop()
    assert daemon.containers() == [] and not alive(container["State"]["Pid"])
    assert "listening" in (served.data / "log/engine-local.log").read_text()


def test_bounds_hold_as_measured_from_outside(gateway, daemon, digest, model_file):
    backend = contained(model_file, digest, cpus=1, memory="512MiB", engine_threads=2, parallel=2)
    served = gateway(config_text([backend]), env=daemon.environment).wait_until_ready(60)
    container = only(daemon)
    assert memory_limit(container) == 512 << 20
    streams = keep_busy(served, 2)
    eventually("it is busy", lambda: replica(served)["in_flight"] == 2, 20)
    began = (processor_seconds_of(container), time.monotonic())
    eventually("it has used 3 s", lambda: processor_seconds_of(container) - began[0] > 3, 60)
    used, took = processor_seconds_of(container) - began[0], time.monotonic() - began[1]
    assert used / took <= 1.05, f"{used:.2f} s of processor time in {took:.2f} s"
    for stream in streams:
        stream.join()


def test_more_memory_than_it_may_have_is_told(gateway, daemon, digest, model_file):
    backend = contained(model_file, digest, memory="32MiB", memory_check=False, context=16384)
    served = gateway(config_text([backend]), env=daemon.environment)
    eventually("it is told", lambda: "needed more memory than it may have" in (replica(served)["detail"] or ""), 30)
    assert '32MiB' in replica(served)["detail"]


@pytest.mark.parametrize("wrong", ["sha256:" + "0" * 64, "sha256:" + "f" * 64])
def test_an_image_of_another_digest_never_starts(gateway, daemon, digest, model_file, wrong):
    served = gateway(config_text([contained(model_file, wrong)]), env=daemon.environment)
    eventually("it fails", lambda: replica(served)["state"] == "failing", 20)
    detail = replica(served)["detail"]
    assert wrong in detail and digest in detail, detail
    assert daemon.containers() == []


def test_an_image_that_is_not_there_is_fetched_by_its_digest(gateway, daemon, model_file):
    with ImageRegistry() as registry:
        digest = registry.push(image_tar(), "2")
        image = f"127.0.0.1:{registry.port}/engines/llama@{digest}"
        backend = {**contained(model_file, digest), "image": image}
        del backend["image_digest"]
        served = gateway(config_text([backend]), env=daemon.environment).wait_until_ready(90)
        assert chat(served.port, chat_body("hi", max_tokens=4), timeout=60).status == 200
        assert f"/v2/engines/llama/manifests/{digest}" in registry.asked and "fetching the image" in served.stderr
        served.stop()

        # A tag that means something else by now: it is fetched, and not run.
        backend |= {"image": f"127.0.0.1:{registry.port}/engines/llama:2", "image_digest": "sha256:" + "0" * 64}
        moved = gateway(config_text([backend]), env=daemon.environment)
        eventually("it fails", lambda: replica(moved)["state"] == "failing", 60)
        assert "is not sha256:0000" in replica(moved)["detail"]

        backend |= {"image": f"127.0.0.1:{registry.port}/engines/none:1"}
        missing = gateway(config_text([backend]), env=daemon.environment)
        eventually("it fails", lambda: replica(missing)["state"] == "failing", 60)
        assert "cannot fetch the image" in replica(missing)["detail"], replica(missing)["detail"]


def test_a_killed_gateway_finds_its_containers_again(gateway, daemon, digest, model_file, tmp_path):
    config = config_text([contained(model_file, digest, replicas=2)])
    first = gateway(config, env=daemon.environment, data=tmp_path / "data")
    eventually("both are ready", lambda: all(replica(first, f"local/{i}")["state"] == "ready" for i in (1, 2)), 60)
    before = {each["Id"] for each in daemon.containers()}
    assert len(before) == 2
    first.kill()
    second = gateway(config, env=daemon.environment, data=tmp_path / "data")
    eventually("both are ready", lambda: all(replica(second, f"local/{i}")["state"] == "ready" for i in (1, 2)), 20)
    assert {each["Id"] for each in daemon.containers()} == before and second.stderr.count("found running") == 2
    assert chat(second.port, chat_body("hi", max_tokens=4), timeout=60).status == 200
    second.kill()
    third = gateway(config_text([contained(model_file, digest, name="other")]), env=daemon.environment, data=tmp_path / "data")
    eventually("it is ready", lambda: replica(third, "other")["state"] == "ready", 60)
    eventually("the others are removed", lambda: len(daemon.containers()) == 1, 20)
    assert only(daemon)["Config"]["Labels"]["spillway.backend"] == "other"


def test_a_standby_that_ran_is_found_again_and_ended_when_it_is_calm(gateway, daemon, digest, model_file, tmp_path):
    rule = {"queue_wait": "1ms", "wait_for": "200ms", "down_after": "3s"}
    config = config_text([contained(model_file, digest, standby=1, parallel=1)], autoscale=rule)
    first = gateway(config, env=daemon.environment, data=tmp_path / "data").wait_until_ready(60)
    assert chat(first.port, chat_body("hi", max_tokens=20), timeout=60).status == 200
    body = chat_body("Count.", stream=True, max_tokens=200, ignore_eos=True)

    def ask() -> None:
        with contextlib.suppress(OSError):  # its gateway is going to be killed
            stream_chat(first.port, body, timeout=60)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    eventually("the standby serves", lambda: replica(first, "local/2")["state"] == "ready", 60)
    before = {each["Id"] for each in daemon.containers()}
    first.kill()
    for thread in threads:
        thread.join()
    second = gateway(config, env=daemon.environment, data=tmp_path / "data").wait_until_ready(20)
    eventually("both are found", lambda: second.stderr.count("found running") == 2, 20)
    assert len(before) == 2 and {each["Id"] for each in daemon.containers()} == before
    eventually("the standby has gone", lambda: replica(second, "local/2")["state"] == "standby" and len(daemon.containers()) == 1, 40)
    assert only(daemon)["Id"] in before


def test_containers_of_another_data_folder_are_left_alone(gateway, daemon, digest, model_file):
    one = gateway(config_text([contained(model_file, digest)]), env=daemon.environment).wait_until_ready(60)
    gateway(config_text([contained(model_file, digest)]), env=daemon.environment).wait_until_ready(60)
    assert len(daemon.containers()) == 2 and replica(one)["restarts"] == 0


def test_a_container_that_is_killed_under_streams_loses_none_and_is_back(gateway, daemon, digest, model_file):
    served = gateway(config_text([contained(model_file, digest, replicas=2, parallel=4, context=512)]), env=daemon.environment)
    eventually("both are ready", lambda: all(replica(served, f"local/{i}")["state"] == "ready" for i in (1, 2)), 60)
    results = []
    bodies = [chat_body(f"Tell me story {i}.", stream=True, max_tokens=60, ignore_eos=True) for i in range(8)]
    threads = [threading.Thread(target=lambda one=one: results.append(stream_chat(served.port, one, timeout=170))) for one in bodies]
    for thread in threads:
        thread.start()
    eventually("both are busy", lambda: all(replica(served, f"local/{i}")["in_flight"] >= 2 for i in (1, 2)), 30)
    victim = replica(served, "local/1")["pid"]
    os.kill(victim, signal.SIGKILL)
    eventually("it is back", lambda: (now := replica(served, "local/1"))["state"] == "ready" and now["pid"] != victim, 15)
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(each.done and not each.errors for each in results), [each.errors for each in results]


def test_a_changed_backend_gets_a_new_container_beside_the_old(gateway, daemon, digest, model_file):
    served = gateway(config_text([contained(model_file, digest)]), env=daemon.environment).wait_until_ready(60)
    before = only(daemon)["Id"]
    served.config_file.write_text(served.config_file.read_text().replace("context = 2048", "context = 1024"))
    served.signal(signal.SIGHUP)
    eventually("the new one alone is left", lambda: [each["Id"] for each in daemon.containers()] not in ([before], [])
               and len(daemon.containers()) == 1, 60)
    assert chat(served.port, chat_body("hi", max_tokens=4), timeout=60).status == 200


def test_without_a_daemon_the_backend_fails_with_the_reason(gateway, model_file, tmp_path):
    served = gateway(config_text([contained(model_file, "sha256:" + "0" * 64)]), env={"DOCKER_HOST": f"unix://{tmp_path}/none"})
    eventually("it fails", lambda: replica(served)["state"] == "failing", 20)
    assert "Docker cannot be reached" in replica(served)["detail"]
