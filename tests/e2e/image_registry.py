"""A container registry (OCI distribution, pulling alone) on 127.0.0.1, where Docker takes plain HTTP."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class ImageRegistry:
    def __init__(self):
        self.blobs: dict[str, tuple[str, bytes]] = {}  # by digest or tag: media type, content
        self.asked: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.asked.append(self.path)
                kind, content = registry.blobs.get(self.path.rsplit("/", 1)[1], ("", b""))
                self.send_response(200 if content or self.path == "/v2/" else 404)
                self.send_header("Content-Type", kind or "application/json")
                self.send_header("Content-Length", str(len(content)))
                if content:
                    self.send_header("Docker-Content-Digest", digest_of(content))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "ImageRegistry":
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def push(self, tar: bytes, tag: str) -> str:
        """An image of this one layer; the digest of its manifest."""
        layer = gzip.compress(tar, 1, mtime=0)
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                             "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]}}).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(config), "digest": digest_of(config)},
            "layers": [{"mediaType": LAYER, "size": len(layer), "digest": digest_of(layer)}]}).encode()
        self.blobs[digest_of(layer)] = (LAYER, layer)
        self.blobs[digest_of(config)] = (CONFIG, config)
        self.blobs[digest_of(manifest)] = self.blobs[tag] = (MANIFEST, manifest)
        return digest_of(manifest)
