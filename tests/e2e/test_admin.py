"""What an operator sees: /metrics, /admin/v1, the access log."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import threading

import pytest

from clock import eventually
from gateway import binary, clean_environment, config_text, openai_backend, run
from http_client import Connection, call, chat, chat_body, get, open_stream, stream_chat
from replies import Hold, Reset, answer, begun, error, events, stream

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$')


def samples(text: str) -> dict[str, float]:
    """name{labels} → value; fails on a line that is no Prometheus text format."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, f"not a sample: {line!r}"
            found[match.group(1) + (match.group(2) or "")] = float(match.group(3))
    return found


def total(metrics: dict[str, float], name: str, *labels: str) -> float:
    return sum(value for key, value in metrics.items() if key.split("{")[0] == name and all(label in key for label in labels))


def lines_of(gateway, count: int) -> list[dict]:
    eventually(f"{count} lines are logged", lambda: len(gateway.access_log().splitlines()) >= count, 3)
    return [json.loads(line) for line in gateway.access_log().splitlines()]


def test_metrics_count_requests_attempts_and_events(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)]))
    upstream.script(error(503))
    for _ in range(3):
        assert chat(served.port).status == 200
    stream_chat(served.port)
    eventually("all are counted", lambda: total(samples(served.metrics()), "spillway_requests_total") == 4, 3)
    metrics = samples(served.metrics())
    assert total(metrics, "spillway_attempts_total", 'backend="a"', 'class="overload"') == 4
    assert total(metrics, "spillway_attempts_total", 'backend="b"', 'class="answered"') == 4
    assert total(metrics, "spillway_requests_total", 'status="2xx"') == 4
    assert any(name.startswith("spillway_first_token_seconds_bucket") for name in metrics)
    for name in re.findall(r"^# TYPE (\S+)", served.metrics(), re.M):
        assert any(key.split("{")[0].startswith(name) for key in metrics), f"{name} has a type and no sample"


def test_what_is_in_flight_is_seen_and_goes_away(served, upstream):
    upstream.script(begun(events(["a "], finish=None, done=False)) + [Hold()])
    with Connection(served.port) as connection:
        open_stream(connection, chat_body(stream=True)).next()
        assert total(samples(served.metrics()), "spillway_attempts_in_flight", 'backend="a"') == 1
    eventually("it is gone", lambda: total(samples(served.metrics()), "spillway_attempts_in_flight", 'backend="a"') == 0, 2)


def test_the_access_log_tells_of_each_exchange(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port)]))
    upstream.script(error(503))
    got = chat(served.port, chat_body("a very private prompt"), headers=[("X-Request-Id", "mine-1")])
    assert got.header("x-request-id") == "mine-1"
    (line,) = lines_of(served, 1)
    assert line["request_id"] == "mine-1" and line["status"] == 200 and line["backend"] == "b" and line["path"] == "/v1/chat/completions"
    assert [(attempt["backend"], attempt["class"], attempt["status"]) for attempt in line["attempts"]] == [("a", "overload", 503), ("b", "answered", 200)]
    assert line["total_ms"] >= 0 and line["first_token_ms"] >= 0 and line["bytes_out"] > 0 and line["client"] == "127.0.0.1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert "private" not in served.access_log()


def test_a_client_that_leaves_is_logged_as_such(served, upstream):
    upstream.script(begun(events(["a "], finish=None, done=False)) + [Hold()])
    with Connection(served.port) as connection:
        open_stream(connection, chat_body(stream=True)).next()
    (line,) = lines_of(served, 1)
    assert line["error"] == "client_gone" and line["attempts"][0]["class"] == "abandoned"


def test_refusals_are_logged_with_their_code(served):
    assert chat(served.port, b"{").status == 400
    (line,) = lines_of(served, 1)
    assert (line["status"], line["error"], line["attempts"]) == (400, "invalid_request", [])


def test_status_in_words_and_in_json(served, upstream):
    assert chat(served.port).status == 200
    admin = ["status", "--admin", f"127.0.0.1:{served.admin_port}"]
    facts = json.loads(run(*admin, "--json", home=served.home).stdout)
    (backend,) = facts["backends"]
    assert backend["name"] == "a" and backend["state"] == "ready" and {"class": "answered", "count": 1} in backend["attempts"]
    assert facts["routes"] == [{"model": "*", "workload": "", "targets": ["a"], "ready": True}]
    text = run(*admin, home=served.home).stdout
    assert "BACKEND" in text and "route *: a" in text


def test_a_resume_is_told_in_metrics_and_log_and_the_break_in_status(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port), openai_backend("b", second_upstream.port, resume="prefix")]))
    upstream.script(begun(events(["The sky ", "is blue ", "and "], finish=None, done=False)) + [Reset()])
    second_upstream.script(stream(events([" blue ", "and wide."], role=False)))
    assert stream_chat(served.port).text == "The sky is blue and wide."
    line = json.loads(served.access_log_lines(1)[0])
    assert [(one["backend"], one["class"], one.get("resumed", False)) for one in line["attempts"]] == [("a", "cut", False), ("b", "answered", True)]
    assert 'spillway_resumes_total{backend="b"} 1' in served.metrics() and 'spillway_resumes_total{backend="a"} 0' in served.metrics()
    told = run("status", "--admin", f"127.0.0.1:{served.admin_port}", home=served.home)
    assert "1 cut; last: cut 200, 0 s ago" in told.stdout


def test_a_backend_that_refuses_our_key_shows_in_health(served, upstream):
    upstream.script(error(401))
    assert chat(served.port).status == 502
    told = json.loads(get(served.admin_port, "/admin/v1/health").body)
    assert told["status"] == "degraded" and "a refuses requests for its credentials or settings (config 401)" in told["problems"][0]


def test_the_admin_plane_knows_reading_alone(served):
    assert call(served.admin_port, "POST", "/metrics").status == 405
    assert get(served.admin_port, "/nosuch").status == 404
    assert get(served.admin_port, "/v1/chat/completions").status == 404


# --- what the log tells of a Backend ---------------------------------------------------------------------------

def told(gateway) -> list[str]:
    return [line.split("backend a ", 1)[1] for line in gateway.stderr.splitlines() if "backend a " in line and "is spared" not in line and "is mended" not in line]


def test_the_log_tells_once_that_a_backend_fails_and_once_that_it_answers_again(served, upstream):
    upstream.script(error(503, "a prompt, perhaps"))
    for _ in range(12):
        assert chat(served.port).status == 502
    (line,) = told(served)
    assert line.startswith("fails: overload 503, 5 in a row since 0") and "prompt" not in served.stderr
    assert "mend: " in served.stderr
    upstream.script(answer())
    for _ in range(3):
        assert chat(served.port).status == 200
    assert [line.split(",")[0] for line in told(served)] == ["fails: overload 503", "answers again"]
    assert "12 failure(s)" in told(served)[1]


@pytest.mark.parametrize("status,cls,mend", [(401, "config", "api_key"), (402, "quota", "money"), (404, "config", "base_url")])
def test_what_only_the_operator_can_mend_is_told_at_once(served, upstream, status, cls, mend):
    upstream.script(error(status))
    for _ in range(3):
        chat(served.port)
    assert [line.split(",")[0] for line in told(served)] == [f"fails: {cls} {status}"] and mend in served.stderr


def test_a_failure_now_and_then_and_a_client_s_own_are_no_news(served, upstream):
    upstream.script(*[error(503), answer()] * 8, error(400), error(400), error(400), error(400), error(400), error(400))
    for _ in range(22):
        chat(served.port)
    assert told(served) == []


# --- spillway top ----------------------------------------------------------------------------------------------

def top(served, *arguments: str):
    return run("top", "--admin", f"127.0.0.1:{served.admin_port}", "--interval", "0.2", *arguments, home=served.home)


def test_top_shows_rates_health_and_queues(gateway, upstream, second_upstream):
    served = gateway(config_text([openai_backend("a", upstream.port, max_concurrency=3), openai_backend("b", second_upstream.port)]))
    upstream.script(error(503))
    for _ in range(8):
        assert chat(served.port).status == 200
    got = top(served)
    assert got.returncode == 0 and got.stderr == "" and "\x1b" not in got.stdout
    heading, a, b = got.stdout.splitlines()[2:]
    for column in ("HEALTH", "1ST TOKEN", "ANSWERED/S", "FAILED/S", "ACTIVE", "LIMIT", "QUEUE", "HEDGES", "RESUMES", "LAST FAILURE"):
        assert column in heading
    assert a.startswith("a ") and "spared 2%" in a and "overload 503" in a and a.split()[7] == "3"
    assert b.startswith("b ") and "ready" in b and " ms " in b


def test_top_tells_rates_as_json(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    asked = threading.Event()

    def ask() -> None:
        while not asked.is_set():
            chat(served.port)

    thread = threading.Thread(target=ask)
    thread.start()
    got = top(served, "--json", "--count", "3")
    asked.set()
    thread.join()
    looks = [json.loads(line) for line in got.stdout.splitlines()]
    assert len(looks) == 3 and all(look["backends"][0]["answered_per_s"] > 1 for look in looks)
    assert all(look["backends"][0]["failed_per_s"] == 0 for look in looks)


def test_top_on_a_terminal_refreshes_in_place_until_ctrl_c(gateway, upstream):
    served = gateway(config_text([openai_backend("a", upstream.port)]))
    main, other = pty.openpty()
    process = subprocess.Popen([str(binary()), "top", "--admin", f"127.0.0.1:{served.admin_port}", "--interval", "0.05"],
                               stdout=other, stderr=other, stdin=subprocess.DEVNULL, env=clean_environment(served.home))
    os.close(other)
    shown = b""
    while shown.count(b"BACKEND") < 3:
        shown += os.read(main, 65536)
    assert shown.startswith(b"\x1b[2J\x1b[H") and shown.count(b"\x1b[2J") == 1 and b"\x1b[32m" in shown
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    os.close(main)


def test_top_of_nothing_is_told(tmp_path):
    got = run("top", "--admin", "127.0.0.1:1", home=tmp_path)
    assert got.returncode == 1 and "nothing answers" in got.stderr
