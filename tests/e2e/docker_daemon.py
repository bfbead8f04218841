"""A Docker engine of the tests' own, and an image with the real llama-server in it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import urllib.parse
from pathlib import Path

from clock import eventually, slow
from gateway import cache_dir, clean_environment, local_backend


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("docker", timeout=slow(60))
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def image_tar() -> bytes:
    """llama-server at /app, with the libraries that it needs; the same bytes each time."""
    server = Path(cache_dir()) / "engine/current/bin/llama-server"
    listed = subprocess.run(["ldd", str(server)], check=True, capture_output=True, text=True).stdout
    files = {Path("/app/llama-server"): server}
    for path in re.findall(r"(/\S+) \(0x", listed):
        own = Path(path).resolve().parent == server.resolve().parent  # looked for beside the program
        files[Path("/app", Path(path).name) if own else Path(path)] = Path(path)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folders = sorted({folder for path in files for folder in path.parents if str(folder) != "/"} | {Path("/tmp")})
        for folder in folders:
            entry = tarfile.TarInfo(str(folder)[1:])
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, source in sorted(files.items()):
            content = source.read_bytes()
            entry = tarfile.TarInfo(str(path)[1:])
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def contained(model_file, digest: str, **more) -> dict:
    """A local Backend whose engines run in containers of image_tar(), imported as engine:1."""
    return {**local_backend(str(model_file)), "launcher": "docker", "image": "engine:1", "image_digest": digest, **more}


class DockerDaemon:
    """dockerd with its data, socket and log in a folder of its own; no networks, no bridges, no rules."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="spillway-docker-"))
        self.socket = str(self.folder / "docker.sock")
        self.log = self.folder / "log"
        self.process: subprocess.Popen | None = None

    def start(self) -> "DockerDaemon":
        flags = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--userland-proxy=false"]
        places = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(["dockerd", *flags, *places, "-H", f"unix://{self.socket}"],
                                            env=clean_environment(self.folder, {}), stdout=log, stderr=log)
        eventually("dockerd answers", self._answers, 20)
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        for each in self.containers():
            self.ask("DELETE", f"/containers/{each['Id']}?force=1")
        self.process.terminate()
        self.process.wait(slow(30))
        subprocess.run(["umount", str(self.folder / "exec/netns/default")], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def running(self):
        self.start()
        try:
            yield self
        finally:
            self.stop()

    @property
    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = _Connection(self.socket)
        connection.request(method, path, body, {"Content-Type": "application/x-tar"} if body else {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def containers(self, **filters: list[str]) -> list[dict]:
        """All of them, running or not."""
        query = urllib.parse.urlencode({"all": "1", "filters": json.dumps(filters)})
        return json.loads(self.ask("GET", f"/containers/json?{query}")[1])

    def inspect(self, container: str) -> dict:
        status, body = self.ask("GET", f"/containers/{container}/json")
        assert status == 200, body
        return json.loads(body)

    def import_image(self, tar: bytes, repository: str, tag: str) -> str:
        """Its digest: that of its only layer."""
        status, body = self.ask("POST", f"/images/create?fromSrc=-&repo={repository}&tag={tag}", tar)
        assert status == 200 and b"error" not in body, body
        return "sha256:" + hashlib.sha256(tar).hexdigest()
