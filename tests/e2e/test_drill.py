"""`spillway drill`: an overload rehearsed, without Spillway and with it."""

from __future__ import annotations

import json
import math
import subprocess

import pytest

from gateway import binary, clean_environment, config_text, local_backend, run

TOLERANCE = 1e-9
QUICK = ("--lead-in", "0.3", "--seed", "3")


def drill(home, *arguments: str, config: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess:
    command = [str(binary())]
    if config is not None:
        (home / "spillway.toml").write_text(config)
        command += ["--config", str(home / "spillway.toml")]
    return subprocess.run([*command, "drill", *arguments], env=clean_environment(home), cwd=home, capture_output=True, text=True,
                          timeout=timeout)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def again(lines: list[dict], side: str) -> dict:
    """The figures of the report, from the raw file."""
    counted = [line for line in lines if line["side"] == side and line["counts"]]
    good = [line for line in counted if line["answered"]]
    times = [line["first_token_ms"] for line in good]
    calls = sum(attempt["sent"] for line in counted for attempt in line["attempts"])
    return {"requests": len(counted), "answered": len(good), "success": len(good) / len(counted),
            "first_token_ms": {f"p{round(share * 100)}": percentile(times, share) for share in (0.5, 0.95, 0.99)},
            "calls": calls, "calls_per_request": calls / len(counted), "cost_usd": sum(line["cost_usd"] for line in counted)}


@pytest.mark.parametrize("bursty", [[], ["--bursty"]], ids=["even", "bursty"])
def test_the_shipped_scenario_fails_without_and_not_with(tmp_path, bursty):
    got = drill(tmp_path, *QUICK, "--requests", "400", "--rate", "200", "--json", "--raw", "raw.jsonl", "--report", "report.html", *bursty)
    assert got.returncode == 0, got.stderr
    told = json.loads(got.stdout)
    assert told["overloaded"] == "deepseek" and told["simulated"] == ["deepseek", "dashscope", "local"] and told["real"] == []
    without, with_ = told["without"], told["with"]
    assert without["requests"] == with_["requests"] == 400
    assert with_["answered"] == 400 and with_["failures"] == {} and with_["success_high"] == 1 and 0.9925 < with_["success_low"] < 0.9926
    assert 0.6 < without["success"] < 0.95 and without["failures"] == {"overload 503": 400 - without["answered"]}
    assert without["first_token_ms"]["p50"] > 2 * with_["first_token_ms"]["p50"]
    assert 1 <= with_["calls_per_request"] <= 1.05 and without["calls_per_request"] == 1
    assert with_["cost_usd"] > 0 and told["cost_known"]
    assert sum(with_["answered_by"].values()) == 400

    # The figures are those of the raw file.
    lines = [json.loads(line) for line in (tmp_path / "raw.jsonl").read_text().splitlines()]
    for side, figures in (("without", without), ("with", with_)):
        for key, value in again(lines, side).items():
            if isinstance(value, dict):
                assert figures[key] == pytest.approx(value, abs=TOLERANCE), (side, key)
            else:
                assert figures[key] == pytest.approx(value, abs=TOLERANCE), (side, key)
    # So is what the page shows.
    page = (tmp_path / "report.html").read_text()
    shown = json.loads(page.split("<script>const drill=", 1)[1].split(";\n", 1)[0])
    for side in ("without", "with"):
        assert sum(shown[side]["answered"]) == sum(line["answered"] for line in lines if line["side"] == side)
        assert sum(shown[side]["failed"]) == sum(not line["answered"] for line in lines if line["side"] == side)
    assert "Simulated" in page and "Chart.js" in page and "src=" not in page


def test_a_config_of_ones_own_is_rehearsed_without_its_keys(tmp_path):
    config = config_text([{"name": "main", "preset": "deepseek"}, {"name": "second", "preset": "openai"}],
                         [{"model": "chat", "targets": [{"backend": "main", "model": "deepseek-flash"},
                                                        {"backend": "second", "model": "gpt-6-luna"}]}])
    refused = drill(tmp_path, config=config)
    assert refused.returncode == 2 and "DEEPSEEK_API_KEY is not set" in refused.stderr
    got = drill(tmp_path, "--simulate-all", *QUICK, "--slowdown", "1.5", "--requests", "120", "--rate", "100", config=config)
    assert got.returncode == 0, got.stderr
    assert "main is overloaded" in got.stdout and "Simulated, so that no provider was asked: main, second" in got.stdout
    assert "without Spillway" in got.stdout and "overload 503" in got.stdout
    # Another one may be the one that fails.
    got = drill(tmp_path, "second", "--simulate-all", *QUICK, "--slowdown", "1.5", "--requests", "60", "--rate", "100", "--json", config=config)
    assert json.loads(got.stdout)["overloaded"] == "second" and json.loads(got.stdout)["with"]["answered_by"] == {"main": 60}


def test_answers_that_break_are_resumed(tmp_path):
    names = {"main": ("deepseek", "deepseek-flash"), "second": ("openai", "gpt-6-luna"), "third": ("dashscope", "qwen3.8-flash")}
    config = config_text([{"name": name, "preset": preset} for name, (preset, _) in names.items()],
                         [{"model": "*", "targets": [{"backend": name, "model": model} for name, (_, model) in names.items()]}])
    got = drill(tmp_path, "--simulate-all", *QUICK, "--errors", "0", "--slowdown", "1", "--cuts", "0.5", "--requests", "100",
                "--rate", "100", "--json", config=config)
    told = json.loads(got.stdout)
    assert 25 <= told["without"]["failures"]["cut"] <= 75
    assert told["with"]["failures"] == {} and told["with"]["attempts"]["main cut"] >= 3
    assert told["with"]["answered_by"]["main"] >= 3  # it gave the first token of what another one ended


@pytest.mark.parametrize("arguments, says", [
    (["nobody"], "names the backend nobody"),
    (["--model", "none"], "no Route for the model none"),
    (["--errors", "2"], "--errors"),
    (["--requests", "0"], "--requests"),
    (["--tokens", "x"], "--tokens"),
])
def test_wrong_usage_is_told(tmp_path, arguments, says):
    got = drill(tmp_path, *arguments)
    assert got.returncode == 2 and says in got.stderr and got.stdout == ""


def test_a_report_that_cannot_be_written_is_told(tmp_path):
    got = drill(tmp_path, *QUICK, "--requests", "5", "--rate", "100", "--report", str(tmp_path / "no" / "folder" / "a.html"))
    assert got.returncode == 1 and "cannot be written" in got.stderr


def test_nothing_is_left_behind(tmp_path):
    environment = clean_environment(tmp_path) | {"TMPDIR": str(tmp_path)}
    got = subprocess.run([str(binary()), "drill", *QUICK, "--requests", "5", "--rate", "100"], env=environment, cwd=tmp_path,
                         capture_output=True, text=True, timeout=60)
    assert got.returncode == 0 and [path.name for path in tmp_path.iterdir() if path.name.startswith("spillway-drill")] == []


def test_the_real_local_engine_takes_over(tmp_path, model_file):
    config = config_text([{"name": "main", "preset": "deepseek"}, local_backend(str(model_file))],
                         [{"model": "*", "targets": [{"backend": "main", "model": "deepseek-flash"}, {"backend": "local"}]}])
    got = drill(tmp_path, "--simulate-all", *QUICK, "--errors", "0.5", "--requests", "12", "--rate", "4", "--tokens", "5", "--json", config=config)
    assert got.returncode == 0, got.stderr
    told = json.loads(got.stdout)
    assert told["real"] == ["local"] and told["with"]["answered"] == 12 and told["with"]["answered_by"]["local"] >= 1
