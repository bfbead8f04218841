"""Fixtures: the real binary, scripted upstreams and the real engine.

SPILLWAY_BINARY     the binary; else build/$SPILLWAY_BUILD/spillway (default release)
SPILLWAY_TEST_DATA  a data directory that holds the model smollm2:135m, for tests with the real engine
SPILLWAY_TEST_SLOW  factor on every time-out, for sanitized builds
SPILLWAY_TEST_FAILED  a file that takes the ids of the tests that failed
CI                  when set, nothing may be skipped
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from pathlib import Path

import pytest

from clock import SLOW
from docker_daemon import DockerDaemon, image_tar
from fake_upstream import FakeUpstream
from gateway import Gateway, backend_of, binary, cache_dir, config_text, local_backend, openai_backend
from simulated import Simulated
from speakers import KINDS
from tls_files import Authority, make_authority

_, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def pytest_configure(config):
    config.addinivalue_line("markers", "timeout(seconds): the longest a test may take")
    config.addinivalue_line("markers", "sanitized: runs under AddressSanitizer too")
    config.addinivalue_line("markers", "threaded: runs under ThreadSanitizer too: reload, admission, hedges, breakers, the fleet")
    config.addinivalue_line("markers", "alone: measures time, or takes the processors; nothing else runs beside it")


# Groups that take longest: they begin first, so that none is left over at the end.
FIRST = ["test_replicas", "docker", "engine", "test_pull", "test_drill", "test_faults", "test_node_sdks", "test_across_dialects", "test_failover", "test_policy"]


def group_of(item) -> str:
    """Tests of one group run one after the other in one worker: those of a file, of the Docker engine, of the shared engine."""
    for fixture, group in (("daemon", "docker"), ("real_engine", "engine")):
        if fixture in item.fixturenames:
            return group
    return item.path.stem


def pytest_runtest_logreport(report):
    file = os.environ.get("SPILLWAY_TEST_FAILED")
    if report.failed and file:
        with open(file, "a") as out:
            out.write(report.nodeid + "\n")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(group_of(item)) if group_of(item) in FIRST else len(FIRST))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
        marker = item.get_closest_marker("timeout")
        seconds = marker.args[0] if marker else 30
        item.add_marker(pytest.mark.timeout(seconds * SLOW), append=False)


def cannot_run(reason: str):
    """Skips on a developer's machine, fails where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def the_binary_exists(request):
    only_the_fake = all("test_fake_upstream" in item.nodeid for item in request.session.items)
    if not only_the_fake and not binary().exists():
        pytest.exit(f"there is no {binary()}; build it, or name one in SPILLWAY_BINARY", returncode=2)


class Gateways:
    """Starts gateways below one folder and ends them all, checking that each ended well."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.started: list[Gateway] = []

    def __call__(self, config: str | None, env=None, data: Path | None = None, wait: bool = True, arguments=()) -> Gateway:
        gateway = Gateway(config, self.folder / f"gateway-{len(self.started)}", env, data, arguments)
        self.started.append(gateway)
        return gateway.wait_until_alive() if wait else gateway

    def stop(self) -> None:
        failures = []
        for gateway in reversed(self.started):
            try:
                gateway.stop()
            except AssertionError as failure:
                failures.append(str(failure))
        if failures:
            pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture
def gateway(tmp_path):
    """gateway(config_text, env=…, data=…, wait=True) → a running Gateway."""
    gateways = Gateways(tmp_path)
    yield gateways
    gateways.stop()


@pytest.fixture(scope="module")
def module_gateway(tmp_path_factory):
    """As `gateway`, for one that all tests of a file share."""
    gateways = Gateways(tmp_path_factory.mktemp("shared"))
    yield gateways
    gateways.stop()


@pytest.fixture
def upstream():
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def second_upstream():
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def third_upstream():
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture(scope="module")
def module_upstream():
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture(scope="module")
def servers(module_gateway):
    """For each kind of Backend (Gateway, FakeUpstream): a gateway whose only Backend, "a", speaks it; the model is "test"."""
    running = {}
    with contextlib.ExitStack() as fakes:
        for kind in KINDS:
            fake = fakes.enter_context(FakeUpstream())
            route = {"model": "test", "targets": [{"backend": "a"}]}
            running[kind] = (module_gateway(config_text([backend_of(kind, "a", fake.port)], [route],
                                                        breaker={"on": False})), fake)
        yield running


@pytest.fixture
def served(gateway, upstream) -> Gateway:
    """A gateway whose only Backend, "a", is `upstream`."""
    return gateway(config_text([openai_backend("a", upstream.port)]))


@pytest.fixture
def refusing_port():
    """A port where connections are refused: bound, never listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    """A test CA and a certificate for localhost and 127.0.0.1."""
    return make_authority(tmp_path_factory.mktemp("tls"), ["localhost", "127.0.0.1"])


@pytest.fixture(scope="session")
def engine_data() -> Path:
    """The data directory with the default model."""
    named = os.environ.get("SPILLWAY_TEST_DATA")
    if not named:
        cannot_run("SPILLWAY_TEST_DATA does not name a data directory with smollm2:135m; script/setup makes one")
    return Path(named)


@pytest.fixture(scope="session")
def model_file(engine_data) -> Path:
    """The GGUF file of the default model."""
    files = [path for path in engine_data.rglob("*") if path.is_file() and path.stat().st_size > 50_000_000]
    for path in files:
        with path.open("rb") as file:
            if file.read(4) == b"GGUF":
                return path.resolve()
    cannot_run(f"no GGUF file lies below {engine_data}")


@pytest.fixture
def held_engine(tmp_path):
    """The real engine, that does not begin before the file `gate` is there: (environment, gate)."""
    gate, wrapper = tmp_path / "gate", tmp_path / "llama-server"
    real = cache_dir() / "engine/current/bin/llama-server"
    wrapper.write_text(f'#!/bin/sh\nwhile [ ! -e "{gate}" ]; do sleep 0.02; done\nexec "{real}" "$@"\n')
    wrapper.chmod(0o755)
    return {"SPILLWAY_LLAMA_SERVER": str(wrapper)}, gate


@pytest.fixture(scope="session")
def real_engine(tmp_path_factory, engine_data) -> Gateway:
    """A ready gateway with the default local model, shared by all tests that do not break it."""
    gateways = Gateways(tmp_path_factory.mktemp("engine"))
    gateway = gateways(config_text([local_backend("smollm2:135m")]), data=engine_data)
    gateway.wait_until_ready(60)
    yield gateway
    gateways.stop()


@pytest.fixture(scope="session")
def daemon() -> DockerDaemon:
    """A Docker engine that all tests share; each leaves it without containers."""
    with DockerDaemon().running() as docker:
        yield docker


@pytest.fixture(scope="session")
def digest(daemon) -> str:
    """Of the image engine:1, which has the real llama-server in it."""
    return daemon.import_image(image_tar(), "engine", "1")


@pytest.fixture
def simulated(tmp_path):
    """Starts `spillway simulate` with a profile, as often as it is called."""
    running: list[Simulated] = []

    def start(profile: dict) -> Simulated:
        running.append(Simulated(tmp_path / f"simulated{len(running)}", profile))
        return running[-1]

    yield start
    for one in running:
        one.stop()
