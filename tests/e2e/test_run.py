"""`spillway run`, `launch` and `env`, as their users have them."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time

import pytest

from clock import eventually, slow
from gateway import binary, clean_environment, config_text, openai_backend, run
from replies import Hold, begun, error, events, stream
from speakers import thinks


@pytest.fixture
def served(gateway, upstream):
    return gateway(config_text([openai_backend("a", upstream.port)]))


def url(served) -> str:
    return f"http://127.0.0.1:{served.port}"


class Terminal:
    """`spillway run` on a terminal of its own."""

    def __init__(self, home, *arguments: str):
        self.master, slave = pty.openpty()
        environment = {**clean_environment(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen([str(binary()), "--data", str(home / "data"), "run", *arguments], stdin=slave,
                                        stdout=slave, stderr=slave, env=environment, cwd=home, start_new_session=True,
                                        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
        os.close(slave)
        self.seen = ""

    def wait_for(self, text: str, seconds: float = 8) -> str:
        """What came up to and with `text`, since the last call."""
        until = time.monotonic() + slow(seconds)
        while text not in self.seen:
            left = until - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], f"{text!r} did not come: {self.seen!r}"
            self.seen += os.read(self.master, 4096).decode("utf-8", "replace")
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def start(*arguments: str) -> Terminal:
        (tmp_path / "data").mkdir(exist_ok=True)
        opened.append(Terminal(tmp_path, *arguments))
        return opened[-1]
    yield start
    for one in opened:
        one.close()


def test_a_prompt_is_answered_on_stdout_and_who_answered_on_stderr(served, upstream, tmp_path):
    upstream.script(stream(events(["Hello", " there"], usage=True)))
    done = run("run", "m", "Say", "hello", "--url", url(served), "--system", "Be brief", home=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Hello there\n")
    assert "a · fake-model" in done.stderr and "2 tokens" in done.stderr
    assert [(one["role"], one["content"]) for one in upstream.requests[-1].json["messages"]] == [
        ("system", "Be brief"), ("user", "Say hello")]


def test_what_is_piped_in_is_added_and_reasoning_is_not_piped_on(served, upstream, tmp_path):
    upstream.script(thinks("openai"))
    done = subprocess.run([str(binary()), "run", "m", "Sum up:", "-q", "--url", url(served)], input="a text", text=True,
                          capture_output=True, env=clean_environment(tmp_path), cwd=tmp_path, timeout=slow(10))
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\n", "")
    assert upstream.requests[-1].json["messages"][-1]["content"] == "Sum up:\n\na text"


def test_a_failure_is_exit_1_and_a_missing_prompt_2(served, upstream, tmp_path):
    upstream.script(error(400, "mind your temperature"))
    done = run("run", "m", "Hi", "--url", url(served), home=tmp_path)
    assert done.returncode == 1 and "mind your temperature" in done.stderr and done.stdout == ""
    done = run("run", "m", "--url", url(served), home=tmp_path)
    assert done.returncode == 2 and "no prompt" in done.stderr
    done = run("run", "m", "Hi", "--url", "http://127.0.0.1:1", home=tmp_path)
    assert done.returncode == 1 and "spillway serve" in done.stderr


@pytest.mark.timeout(60)
def test_without_a_gateway_one_is_started_with_the_model(engine_data, tmp_path):
    done = run("--data", str(engine_data), "run", "smollm2:135m", "What is the capital of France?", "--max-tokens", "30",
               home=tmp_path, timeout=slow(50))
    assert done.returncode == 0 and len(done.stdout) > 5, done.stderr
    assert "starting one" in done.stderr and "local · smollm2:135m" in done.stderr and "tokens/s" in done.stderr


def test_a_chat_keeps_its_history_and_ctrl_c_stops_only_the_answer(served, upstream, terminal):
    chat = terminal("m", "--url", url(served))
    chat.wait_for(">>> ")
    upstream.script(stream(events(["First", " answer"], usage=True)))
    chat.type("one\n")
    assert "First answer" in chat.wait_for(">>> ")

    upstream.script(begun(events(["Second", " one"], finish=None, done=False)) + [Hold()])
    chat.type("two\n")
    chat.wait_for("Second one")
    chat.type("\x03")
    assert "stopped" in chat.wait_for(">>> ")
    eventually("the Backend is left", lambda: upstream.requests[-1].left_at is not None, 3)

    upstream.script(stream(events(["Third"], usage=True)))
    chat.type("\x03")  # at the prompt it does nothing
    chat.type("/help\n")
    chat.wait_for("Ctrl-C")
    chat.wait_for(">>> ")
    chat.type('"""three\n')
    chat.wait_for("... ")
    chat.type('lines"""\n')
    chat.wait_for("Third")
    chat.wait_for(">>> ")
    said = [(one["role"], one["content"]) for one in upstream.requests[-1].json["messages"]]
    assert said == [("user", "one"), ("assistant", "First answer"), ("user", "two"), ("assistant", "Second one"),
                    ("user", "three\nlines")]
    chat.type("/clear\n")
    chat.wait_for("Forgotten")
    chat.wait_for(">>> ")
    chat.type("four\n")
    chat.wait_for("Third")
    chat.wait_for(">>> ")
    assert len(upstream.requests[-1].json["messages"]) == 1
    chat.type("/bye\n")
    assert chat.process.wait(slow(5)) == 0


def test_launch_starts_the_tool_with_its_variables_and_changes_no_file(served, tmp_path):
    tool = tmp_path / "bin" / "claude"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho \"$ANTHROPIC_BASE_URL $ANTHROPIC_AUTH_TOKEN $ANTHROPIC_MODEL $*\"\nexit 7\n")
    tool.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    done = run("launch", "claude", "--url", url(served), "--model", "big", "--", "--print", "x y", home=home, env=environment)
    assert (done.returncode, done.stdout) == (7, f"{url(served)} spillway big --print x y\n")
    assert list(home.iterdir()) == []
    done = run("launch", "claude", "--url", "http://127.0.0.1:1", home=home, env=environment)
    assert done.returncode == 1 and "spillway serve" in done.stderr
    done = run("launch", "clude", home=home, env=environment)
    assert done.returncode == 2 and "did you mean claude" in done.stderr


TOOLS = ["claude", "codex", "opencode", "aider", "goose", "qwen", "openai", "anthropic", "ollama"]


@pytest.mark.parametrize("tool", TOOLS)
def test_env_prints_what_a_shell_can_take(served, tmp_path, tool):
    done = run("env", tool, "--url", url(served), "--model", "it's", home=tmp_path)
    assert done.returncode == 0
    shell = subprocess.run(["sh", "-c", done.stdout + "\nenv"], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    told = json.loads(run("env", tool, "--url", url(served), "--model", "it's", "--json", home=tmp_path).stdout)
    assert told["environment"]
    for name, value in told["environment"].items():
        assert f"{name}={value}" in shell.stdout.splitlines()
    assert url(served) in json.dumps(told)


def test_sdks_take_the_variables(served, upstream, tmp_path):
    """openai and anthropic read what `env` prints by themselves."""
    import sys
    upstream.script(stream(events(["Hello"], usage=True)))
    program = ("import openai, anthropic\n"
               "print(openai.OpenAI().chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'x'}])"
               ".choices[0].message.content)\n"
               "print(anthropic.Anthropic().messages.create(model='m', max_tokens=500, messages=[{'role': 'user',"
               " 'content': 'x'}]).content[0].text)")
    environment = {}
    for tool in ("openai", "anthropic"):
        environment |= json.loads(run("env", tool, "--url", url(served), "--json", home=tmp_path).stdout)["environment"]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**clean_environment(tmp_path), **environment})
    assert done.stdout == "Hello\nHello\n", done.stderr
