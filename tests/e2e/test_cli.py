"""The command line: what it prints, where, and the exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from gateway import config_text, openai_backend, run

COMMANDS = ["serve", "run", "launch", "env", "check", "status", "pull", "list", "import", "doctor", "deploy", "ps", "show", "cp", "rm", "models", "completion", "version"]

# Ten mistakes, each with the line that it is told for.
MISTAKES = """\
[server]
listn = "127.0.0.1:8080"
threads = "many"
[limits]
max_body = "32 parsecs"
header_timeout = 10
[[backend]]
name = "a"
kind = "opneai"
base_url = "ftp://example.com"
api_key = "sk-not-a-reference"
tier = "clowd"
[[route]]
model = "*"
policy = "orderd"
targets = [{ backend = "b" }]
[servr]
"""
TEN = [2, 3, 5, 6, 9, 10, 11, 12, 15, 16]


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)], ids=" ".join)
def test_help_is_on_stdout_with_an_example(tmp_path, arguments):
    got = run(*arguments, home=tmp_path)
    assert got.returncode == 0 and "xample" in got.stdout and "spillway " in got.stdout and got.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["nosuch"], ["serve", "--nosuch"], ["--log-level", "loud", "version"], ["import"],
                                       ["completion", "tcsh"]], ids=lambda a: " ".join(a) or "nothing")
def test_wrong_usage_is_exit_2_and_nothing_on_stdout(tmp_path, arguments):
    got = run(*arguments, home=tmp_path)
    assert got.returncode == 2 and got.stdout == "" and "error:" in got.stderr


def test_version_tells_the_same_everywhere(tmp_path):
    facts = json.loads(run("version", "--json", home=tmp_path).stdout)
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["version"])
    assert run("version", home=tmp_path).stdout.splitlines()[0] == run("--version", home=tmp_path).stdout.strip() == f"spillway {facts['version']}"


def test_output_that_cannot_be_written_is_a_failure(tmp_path):
    with open("/dev/full", "wb") as full:
        got = subprocess.run([os.environ.get("SPILLWAY_BINARY", "spillway"), "version"], stdout=full, stderr=subprocess.PIPE, timeout=20)
    assert got.returncode == 1


# --- check -----------------------------------------------------------------------------------------------------

def test_every_mistake_is_told_at_once_with_its_place(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(MISTAKES)
    got = run("--config", str(file), "check", home=tmp_path)
    assert got.returncode == 2 and got.stdout == ""
    told = [int(line) for line in re.findall(rf"^{re.escape(str(file))}:(\d+):\d+: error: ", got.stderr, re.M)]
    assert set(TEN) <= set(told) and told == sorted(told), got.stderr
    assert "listen" in got.stderr and "openai" in got.stderr and "cloud" in got.stderr and "ordered" in got.stderr
    assert "sk-not-a-reference" not in got.stderr


def test_serve_refuses_the_same_config_and_starts_nothing(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(MISTAKES)
    got = run("--config", str(file), "--data", str(tmp_path / "data"), "serve", home=tmp_path)
    assert got.returncode == 2 and str(file) in got.stderr and "listening" not in got.stdout
    assert not (tmp_path / "data").exists()


def test_check_as_json_has_the_places(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text('[server]\nlistn = "127.0.0.1:1"\n')
    got = run("--config", str(file), "check", "--json", home=tmp_path)
    facts = json.loads(got.stdout)
    assert got.returncode == 2 and facts["ok"] is False
    assert [(problem["line"], problem["column"]) for problem in facts["problems"]] == [(2, 1)]
    assert "listen" in facts["problems"][0]["hint"]


def test_a_syntax_error_is_told_with_its_place(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text("[server]\nlisten = \n")
    got = run("--config", str(file), "check", home=tmp_path)
    assert got.returncode == 2 and f"{file}:2:" in got.stderr


def test_a_config_that_is_not_there_is_named(tmp_path):
    got = run("--config", str(tmp_path / "away.toml"), "check", home=tmp_path)
    assert got.returncode == 2 and "away.toml" in got.stderr


def test_what_check_prints_reads_back_alike(tmp_path):
    file = tmp_path / "spillway.toml"
    file.write_text(config_text([openai_backend("a", 1, api_key="env:SOME_KEY", headers={"x-team": "blue"})]))
    secret = {"SOME_KEY": "sk-secret-value"}
    first = run("--config", str(file), "check", "--print", home=tmp_path, env=secret)
    assert first.returncode == 0, first.stderr
    assert "env:SOME_KEY" in first.stdout and "secret-value" not in first.stdout + first.stderr
    file.write_text(first.stdout)
    assert run("--config", str(file), "check", "--print", home=tmp_path, env=secret).stdout == first.stdout


@pytest.mark.parametrize("where", ["option", "variable", "folder", "home"])
def test_the_config_is_found_in_each_of_its_places(tmp_path, where):
    places = {"option": tmp_path / "o.toml", "variable": tmp_path / "v.toml", "folder": tmp_path / "spillway.toml",
              "home": tmp_path / ".config" / "spillway" / "spillway.toml"}
    order = list(places)
    for name in order[order.index(where):]:
        places[name].parent.mkdir(parents=True, exist_ok=True)
        places[name].write_text(config_text([openai_backend(f"from-{name}", 1)]))
    arguments = ["--config", str(places["option"])] if where == "option" else []
    env = {"SPILLWAY_CONFIG": str(places["variable"])} if where in ("option", "variable") else {}
    got = run(*arguments, "check", "--print", home=tmp_path, env=env)
    assert f"from-{where}" in got.stdout, got.stderr


def test_a_key_file_that_cannot_be_read_is_named(tmp_path):
    file = tmp_path / "spillway.toml"
    file.write_text(config_text([openai_backend("a", 1, api_key=f"file:{tmp_path}/away.key")]))
    got = run("--config", str(file), "serve", home=tmp_path)
    assert got.returncode == 2 and "away.key" in got.stderr and f"{file}:" in got.stderr


def test_a_key_variable_that_is_not_set_is_named(tmp_path):
    file = tmp_path / "spillway.toml"
    file.write_text(config_text([openai_backend("a", 1, api_key="env:NO_SUCH_KEY")]))
    got = run("--config", str(file), "serve", home=tmp_path)
    assert got.returncode == 2 and "NO_SUCH_KEY" in got.stderr


def test_listening_for_all_without_keys_is_refused(tmp_path):
    file = tmp_path / "spillway.toml"
    file.write_text(config_text([openai_backend("a", 1)], server={"listen": "0.0.0.0:0"}))
    got = run("--config", str(file), "serve", home=tmp_path)
    assert got.returncode == 2 and "require_key" in got.stderr


# --- what cannot start -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("key", ["listen", "admin_listen"])
def test_an_occupied_port_is_told_with_the_mend(tmp_path, key):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        file = tmp_path / "spillway.toml"
        file.write_text(config_text([openai_backend("a", 1)], server={key: f"127.0.0.1:{port}"}))
        got = run("--config", str(file), "--data", str(tmp_path / "data"), "serve", home=tmp_path)
    assert got.returncode == 1 and f"127.0.0.1:{port}" in got.stderr and "mend:" in got.stderr
    assert "listening" not in got.stdout


def test_a_second_gateway_on_the_same_port_is_refused(gateway, upstream, tmp_path):
    first = gateway(config_text([openai_backend("a", upstream.port)]))
    file = tmp_path / "second.toml"
    file.write_text(config_text([openai_backend("a", upstream.port)], server={"listen": f"127.0.0.1:{first.port}"}))
    got = run("--config", str(file), "--data", str(tmp_path / "data"), "serve", home=tmp_path)
    assert got.returncode == 1 and str(first.port) in got.stderr


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    file = tmp_path / "spillway.toml"
    file.write_text(config_text([openai_backend("a", 1)]))
    got = run("--config", str(file), "--data", str(tmp_path / "file" / "data"), "serve", home=tmp_path)
    assert got.returncode == 1 and str(tmp_path / "file" / "data") in got.stderr


def test_a_certificate_file_that_is_none_is_named(tmp_path):
    wrong = tmp_path / "ca.pem"
    wrong.write_text("not a certificate")
    file = tmp_path / "spillway.toml"
    file.write_text(config_text([openai_backend("a", "https://127.0.0.1:1/v1", ca_file=str(wrong))]))
    got = run("--config", str(file), "--data", str(tmp_path / "data"), "serve", home=tmp_path)
    assert got.returncode in (1, 2) and "ca.pem" in got.stderr and "listening" not in got.stdout


def test_an_access_log_that_cannot_be_opened_is_named(tmp_path):
    file = tmp_path / "spillway.toml"
    file.write_text(config_text([openai_backend("a", 1)], log={"access": str(tmp_path / "nodir" / "a.jsonl")}))
    (tmp_path / "nodir").write_text("a file, not a folder")
    got = run("--config", str(file), "--data", str(tmp_path / "data"), "serve", home=tmp_path)
    assert got.returncode == 1 and "access log" in got.stderr and "listening" not in got.stdout


# --- status ----------------------------------------------------------------------------------------------------

def test_status_of_what_does_not_run_is_exit_1(tmp_path, refusing_port):
    got = run("status", "--admin", f"127.0.0.1:{refusing_port}", home=tmp_path)
    assert got.returncode == 1 and got.stdout == "" and str(refusing_port) in got.stderr and "spillway serve" in got.stderr


# --- models ----------------------------------------------------------------------------------------------------

def test_a_model_is_imported_listed_and_removed(tmp_path, model_file):
    data = ["--data", str(tmp_path / "data")]
    assert json.loads(run(*data, "list", "--json", home=tmp_path).stdout) == []
    got = run(*data, "import", str(model_file), "tiny:1", "--license", "Apache-2.0", home=tmp_path, timeout=60)
    assert got.returncode == 0, got.stderr
    (model,) = json.loads(run(*data, "list", "--json", home=tmp_path).stdout)
    assert (model["name"], model["license"], model["size"]) == ("tiny:1", "Apache-2.0", model_file.stat().st_size)
    assert "tiny:1" in run(*data, "list", home=tmp_path).stdout
    assert run(*data, "rm", "tiny:1", home=tmp_path).returncode == 0
    assert json.loads(run(*data, "list", "--json", home=tmp_path).stdout) == []
    assert run(*data, "rm", "tiny:1", home=tmp_path).returncode == 1


def test_a_model_with_another_digest_is_refused_and_leaves_nothing(tmp_path, model_file):
    data = ["--data", str(tmp_path / "data")]
    got = run(*data, "import", str(model_file), "tiny", "--sha256", "0" * 64, home=tmp_path, timeout=60)
    assert got.returncode == 1 and "sha256" in got.stderr.lower()
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.stat().st_size > 0]


@pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="mounting a small file system needs root")
def test_a_full_disk_refuses_an_import_and_leaves_nothing(tmp_path, model_file):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no right to mount here")
    try:
        got = run("--data", str(small), "import", str(model_file), "tiny", home=tmp_path, timeout=60)
        assert got.returncode == 1 and "space" in got.stderr.lower()
        assert shutil.disk_usage(small).used < 1_000_000
    finally:
        subprocess.run(["umount", str(small)], check=True)


# --- completion ------------------------------------------------------------------------------------------------

def complete_in_bash(script: str, *words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    program = f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _spillway; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    return subprocess.run(["bash", "--norc", "-c", program], text=True, capture_output=True, check=True, timeout=20).stdout.split()


def test_bash_completes_commands_options_and_values(tmp_path):
    script = run("completion", "bash", home=tmp_path).stdout
    assert set(COMMANDS) <= set(complete_in_bash(script, "spillway", ""))
    assert complete_in_bash(script, "spillway", "sta") == ["status"]
    assert {"--print", "--json", "--config"} <= set(complete_in_bash(script, "spillway", "check", "--"))
    assert complete_in_bash(script, "spillway", "--log-level", "w") == ["warn"]
    assert set(complete_in_bash(script, "spillway", "completion", "")) >= {"bash", "zsh", "fish"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completions_name_every_command_and_parse_where_the_shell_is_there(tmp_path, shell):
    script = run("completion", shell, home=tmp_path).stdout
    assert all(command in script for command in COMMANDS) and "--log-level" in script.replace("-l log-level", "--log-level")
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=20)
