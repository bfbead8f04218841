"""Registries on loopback: Hugging Face's, Ollama's, a Python package index and a plain file server, with faults.

They speak what the real ones speak, as far as a pull asks: ranges, redirects to where blobs are, ETags, digests.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import struct
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def gguf(size: int = 0, fill: int = 7, context: int = 2048, name: str = "Tiny") -> bytes:
    """A small model file that a reader finds whole; `size` bytes of weights are pseudo-random, by `fill`."""
    rows = max(1, size // 4 // 32)

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 4)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("general.name") + struct.pack("<I", 8) + text(name)
    head += text("general.file_type") + struct.pack("<II", 4, 0)
    head += text("llama.context_length") + struct.pack("<II", 4, context)
    head += text("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, rows, 0, 0)
    head += b"\0" * (-len(head) % 32)
    block = hashlib.sha256(bytes([fill])).digest() * 2048
    data = rows * 32 * 4
    return head + b"".join(hashlib.sha256(struct.pack("<IQ", fill, i)).digest() + block[32:]
                           for i in range(data // len(block) + 1))[:data]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@dataclass
class Request:
    path: str
    first: int | None
    last: int | None
    headers: dict[str, str]
    number: int  # of the requests for this path with a range of more than one byte, from 0


@dataclass
class Fault:
    """What one answer has of its own."""

    status: int = 0                 # with an empty body
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None       # instead of what was asked for
    cut: int | None = None          # bytes after which the connection is closed
    rate: float = 0                 # bytes a second; 0: as fast as it goes
    flip: int | None = None         # the byte at this offset of the file has another bit
    claim: int | None = None        # what the complete length is said to be
    no_ranges: bool = False
    location: str | None = None


class Registry:
    def __init__(self):
        self.files: dict[str, bytes] = {}          # path → content
        self.documents: dict[str, tuple[str, bytes]] = {}
        self.etags: dict[str, str] = {}
        self.redirects: dict[str, str] = {}
        self.digests = False                       # tell Content-Digest of each part
        self.fault: Callable[[Request], Fault | None] = lambda request: None
        self.requests: list[Request] = []
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                try:
                    registry._answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        return {"HF_ENDPOINT": self.url, "SPILLWAY_OLLAMA_REGISTRY": self.url, "PIP_INDEX_URL": self.url + "/simple/"}

    def parts(self, path: str | None = None) -> list[tuple[int, int]]:
        """The ranges that were asked for, but the look at the first byte."""
        return [(r.first, r.last) for r in self.requests if r.first is not None and r.last > 0 and path in (None, r.path)]

    # --- what there is -----------------------------------------------------------------------------------------

    def hugging_face(self, repository: str, files: dict[str, bytes], license: str = "apache-2.0") -> None:
        siblings = [{"rfilename": name, "size": len(content), "blobId": "0" * 40,
                     "lfs": {"sha256": sha256(content), "size": len(content), "pointerSize": 135}}
                    for name, content in files.items()]
        document = {"id": repository, "sha": COMMIT, "siblings": siblings, "cardData": {"license": license}}
        self.documents[f"/api/models/{repository}/revision/main"] = ("application/json", json.dumps(document).encode())
        for name, content in files.items():
            self.redirects[f"/{repository}/resolve/{COMMIT}/{name}"] = f"/cdn/{sha256(content)}?signature=x"
            self.files[f"/cdn/{sha256(content)}"] = content

    def ollama(self, name: str, tag: str, weights: bytes, license: str = "MIT License\n\nPermission …", **more: bytes) -> None:
        place = name if "/" in name else f"library/{name}"
        layers = []
        for kind, content in {"model": weights, "license": license.encode(), **more}.items():
            digest = sha256(content)
            layers.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)})
            self.redirects[f"/v2/{place}/blobs/sha256:{digest}"] = f"/cdn/{digest}"
            self.files[f"/cdn/{digest}"] = content
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": layers}
        self.documents[f"/v2/{place}/manifests/{tag}"] = (
            "application/vnd.docker.distribution.manifest.v2+json", json.dumps(manifest).encode())

    def package(self, name: str, wheels: dict[str, bytes]) -> None:
        files = []
        for number, (version, content) in enumerate(wheels.items()):
            filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
            self.files[f"/packages/{filename}"] = content
            files.append({"filename": filename, "url": f"../../packages/{filename}", "hashes": {"sha256": sha256(content)},
                          "size": len(content), "upload-time": f"2026-01-{number + 1:02}T00:00:00Z", "yanked": False})
        self.documents[f"/simple/{name}/"] = ("application/vnd.pypi.simple.v1+json",
                                              json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode())

    # --- answering ---------------------------------------------------------------------------------------------

    def _request(self, handler) -> Request:
        path = handler.path.split("?")[0]
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        first, last = (int(found[1]), int(found[2])) if found else (None, None)
        with self._lock:
            number = self._counts.get(path, 0)
            if last != 0:
                self._counts[path] = number + 1
            request = Request(path, first, last, {k.lower(): v for k, v in handler.headers.items()}, number)
            self.requests.append(request)
        return request

    def _send(self, handler, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers, **fault.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        end = len(body) if fault.cut is None else min(fault.cut, len(body))
        if fault.rate:
            step = max(1, int(fault.rate / 20))
            for at in range(0, end, step):
                handler.wfile.write(body[at:min(at + step, end)])
                time.sleep(0.05)
        else:
            handler.wfile.write(body[:end])
        if end < len(body):
            handler.close_connection = True

    def _answer(self, handler) -> None:
        request = self._request(handler)
        fault = self.fault(request) or Fault()
        if fault.status:
            return self._send(handler, fault.status, {}, b"", fault)
        if fault.location is not None:
            return self._send(handler, 302, {"Location": fault.location}, b"", fault)
        if fault.body is not None:
            return self._send(handler, 200, {}, fault.body, fault)
        if request.path in self.redirects:
            return self._send(handler, 302, {"Location": self.redirects[request.path]}, b"", fault)
        if request.path in self.documents:
            kind, body = self.documents[request.path]
            return self._send(handler, 200, {"Content-Type": kind}, body, fault)
        if request.path not in self.files:
            return self._send(handler, 404, {}, b"", fault)
        content = self.files[request.path]
        headers = {"ETag": self.etags.get(request.path, f'"{sha256(content)[:16]}"'), "Content-Type": "application/octet-stream"}
        whole = content
        if fault.flip is not None:
            content = content[:fault.flip] + bytes([content[fault.flip] ^ 1]) + content[fault.flip + 1:]
        length = len(content) if fault.claim is None else fault.claim
        if request.first is None or fault.no_ranges:
            return self._send(handler, 200, headers, content, fault)
        if request.first >= len(content):
            return self._send(handler, 416, {"Content-Range": f"bytes */{length}"}, b"", fault)
        headers["Content-Range"] = f"bytes {request.first}-{request.last}/{length}"
        if self.digests:
            digest = hashlib.sha256(whole[request.first:request.last + 1]).digest()
            headers["Content-Digest"] = f"sha-256=:{base64.b64encode(digest).decode()}:"
        self._send(handler, 206, headers, content[request.first:request.last + 1], fault)
