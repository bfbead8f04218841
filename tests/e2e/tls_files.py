"""A certificate authority and server certificates made on the spot by the openssl command line."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Authority:
    ca_file: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_authority(folder: Path, names: list[str], expired: bool = False) -> Authority:
    """A CA of its own and a certificate for `names` (DNS names or IP addresses) signed by it. `expired`: yesterday."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, ca = folder / "ca.key", folder / "ca.pem"
    key, request, certificate = folder / "server.key", folder / "server.csr", folder / "server.pem"
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=Test CA", "-keyout", str(ca_key), "-out", str(ca))
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={names[0]}",
             "-keyout", str(key), "-out", str(request))
    extensions = folder / "extensions"
    entries = [f"{'IP' if name.replace('.', '').isdigit() else 'DNS'}:{name}" for name in names]
    extensions.write_text(f"subjectAltName={','.join(entries)}\nbasicConstraints=CA:FALSE\n")
    if expired:  # `openssl x509` takes no dates before version 3.4, `openssl ca` does
        (folder / "index.txt").touch()
        settings = folder / "ca.cnf"
        settings.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index.txt\nnew_certs_dir={folder}\nrand_serial=yes\n"
                            f"default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n")
        _openssl("ca", "-batch", "-config", str(settings), "-in", str(request), "-cert", str(ca), "-keyfile", str(ca_key),
                 "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-extfile", str(extensions), "-out", str(certificate))
        return Authority(ca, certificate, key)
    _openssl("x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial",
             "-days", "2", "-extfile", str(extensions), "-out", str(certificate))
    return Authority(ca, certificate, key)


def client_context(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))
