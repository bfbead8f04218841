"""`spillway doctor` on this machine, and on recorded trees of others with a library in the place of NVIDIA's."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from clock import SLOW
from gateway import binary, config_text, openai_backend, run

GIB = 1 << 30
T4 = f"Tesla T4|{15 * GIB}|3b|0|0"
A100 = f"NVIDIA A100-SXM4-80GB|{80 * GIB}|86|0|0"
MDSTAT = """Personalities : [raid10]
md0 : active raid10 sdd1[3] sdc1[2] sdb1[1] sda1[0]
      1953260544 blocks super 1.2 512K chunks 2 near-copies [4/4] [UUUU]

unused devices: <none>
"""


def tree(folder: Path, cores: int, gib: float, mdstat: str | None = MDSTAT, supplies: str | None = None, kernel_log: str | None = None) -> Path:
    """A machine's /proc and /sys, as far as they are read."""
    files = {"proc/cpuinfo": "".join(f"processor\t: {i}\nmodel name\t: Test CPU\nphysical id\t: 0\ncore id\t\t: {i}\nflags\t\t: fpu avx2\n\n"
                                     for i in range(cores)),
             "proc/meminfo": f"MemTotal:       {int(gib * GIB / 1024)} kB\nMemAvailable:   {int(gib * GIB / 1024 * 0.9)} kB\n",
             "sys/devices/system/node/node0/x": "", "sys/devices/system/node/node1/x": ""}
    if mdstat:
        files["proc/mdstat"] = mdstat
    if supplies:
        files["ipmi/power_supply"] = supplies
    if kernel_log:
        files["dev/kmsg"] = kernel_log
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def doctor(tmp_path):
    """doctor(…, gpus=…) → (exit code, the report)."""
    def call(*arguments: str, gpus: str | None = None, as_json: bool = True):
        env = {}
        if gpus is not None:
            library = binary().parent / "tests/fleet/nvml"
            assert (library / "libnvidia-ml.so.1").exists()
            env = {"LD_LIBRARY_PATH": str(library), "FAKE_NVML": gpus}
        got = run("--data", str(tmp_path / "data"), "doctor", *arguments, *(["--json"] if as_json else []), home=tmp_path, env=env, timeout=10)
        return got.returncode, json.loads(got.stdout) if as_json else got.stdout
    return call


def whats(report: dict, severity: str) -> str:
    return "\n".join(each["what"] for each in report["findings"] if each["severity"] == severity)


def test_this_machine_is_told_within_three_seconds(doctor, tmp_path):
    begin = time.monotonic()
    code, report = doctor()
    took = time.monotonic() - begin
    assert took < 3 * SLOW, took
    assert report["cpu"]["threads"] >= 1 and report["memory"]["total"] > GIB and report["storage"]["free"] > 0
    assert report["memory"]["rate_gb_s"] > 0.5 and report["system"]["open_files"] > 100
    assert report["storage"]["write_mb_s"] is None or report["storage"]["write_mb_s"] > 0
    assert {each["name"] for each in report["system"]["programs"]} >= {"llama.cpp", "docker", "vllm"}
    assert all(each["what"] and each["why"] for each in report["unread"])
    assert not list(tmp_path.glob("data/.spillway*")) and code in (0, 1)


def test_it_needs_no_root(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("this is not root already")
    import subprocess
    from gateway import clean_environment
    # Nobody may read the checkout of root: the program goes where it can be run.
    place = Path("/tmp") / f"doctor-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        program = place / "spillway"
        program.write_bytes(binary().read_bytes())
        program.chmod(0o755)
        got = subprocess.run([program, "--data", place / "data", "doctor", "--json"], env=clean_environment(place), cwd="/", text=True,
                             capture_output=True, timeout=20 * SLOW, user=65534, group=65534, extra_groups=[])
        report = json.loads(got.stdout)
        assert report["cpu"]["threads"] >= 1, got.stderr
        assert any("speed of the disk" in each["what"] for each in report["unread"])
    finally:
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


def test_a_port_that_is_taken_is_told(doctor, tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        config = config_text([openai_backend("a", 1)], server={"listen": f"127.0.0.1:{port}"})
        (tmp_path / "spillway.toml").write_text(config)
        _, report = doctor("--no-measure")
    assert {"address": f"127.0.0.1:{port}", "free": False} in report["system"]["ports"]
    assert f"127.0.0.1:{port} is taken" in whats(report, "warning")


@pytest.mark.parametrize("cores, gib, gpus, tier", [
    (8, 31.2, T4, "basic"), (16, 62.7, A100, "standard"), (32, 125.6, f"{A100};{A100}", "enterprise"), (32, 125.6, "", "device"), (1, 0.9, "", "cloud-only")])
def test_the_tier_follows_from_what_is_there(doctor, tmp_path, cores, gib, gpus, tier):
    _, report = doctor("--root", str(tree(tmp_path / "root", cores, gib)), gpus=gpus)
    assert report["tier"] == tier
    assert (report["missing_for_next_tier"] == "") == (tier == "enterprise")
    assert (report["cpu"]["cores"], report["cpu"]["numa_nodes"]) == (cores, 2)


def test_two_gpus_are_told_with_all_that_their_library_knows(doctor, tmp_path):
    log = "6,1,1,-;NVRM: Xid (PCI:0000:86:00): 79, GPU has fallen off the bus\n"
    root = tree(tmp_path / "root", 32, 128, kernel_log=log)
    code, report = doctor("--root", str(root), gpus=f"{A100};NVIDIA A100-SXM4-80GB|{80 * GIB}|87|3|0x44")
    first, second = report["gpus"]
    assert (first["name"], first["memory"], first["utilisation"], first["temperature"], first["power"]) == \
        ("NVIDIA A100-SXM4-80GB", 80 * GIB, 17, 44, 61)
    assert (first["bandwidth_gb_s"], first["xids"], first["ecc_errors"]) == (2039, [79], 0)
    assert (second["xids"], second["ecc_errors"], second["throttled"]) == ([], 3, ["power cap", "thermal (hardware)"])
    assert report["system"]["gpu_driver"] == "550.54.15" and code == 1
    assert "Xid 79" in whats(report, "problem") and "3 uncorrected memory errors" in whats(report, "problem")
    assert "GPU 1 (NVIDIA A100-SXM4-80GB) is held down" in whats(report, "warning")
    seventy = next(fit for fit in report["catalogue"] if fit["model"] == "Llama 3.3 70B")
    assert seventy["fits"] and seventy["tokens_per_second"] > 10 and "GB of" in seventy["why"]


def test_a_card_that_no_table_knows_has_its_rate_from_its_clock(doctor, tmp_path):
    _, report = doctor("--root", str(tree(tmp_path / "root", 8, 32)), gpus=f"Future Card X|{24 * GIB}|1|0|0")
    assert report["gpus"][0]["bandwidth_gb_s"] == pytest.approx(320, rel=0.01)


def test_a_library_that_does_not_start_is_told(doctor, tmp_path):
    _, report = doctor("--root", str(tree(tmp_path / "root", 8, 32)), gpus="error")
    assert {"what": "GPUs", "why": "Driver Not Loaded"} in report["unread"] and report["gpus"] == []


def test_a_degraded_raid_is_a_problem_with_its_mend(doctor, tmp_path):
    broken = MDSTAT.replace("sdc1[2]", "sdc1[2](F)").replace("[4/4] [UUUU]", "[4/3] [UU_U]")
    code, report = doctor("--root", str(tree(tmp_path / "root", 8, 32, mdstat=broken)), gpus=f"{T4};{T4}")
    assert code == 1 and "md0 (raid10) is degraded: 3 of 4 disks work; failed: sdc1" in whats(report, "problem")
    assert any("mdadm --manage /dev/md0 --add" in each["mend"] for each in report["findings"])
    raid, = report["storage"]["raid"]
    assert (raid["level"], raid["degraded"], raid["members"]) == ("raid10", True, ["sdd1", "sdc1(F)", "sdb1", "sda1"])


def test_a_dead_power_supply_is_a_problem(doctor, tmp_path):
    supplies = "PSU1 Status | C8h | ok | 10.1 | Presence detected\nPSU2 Status | C9h | ok | 10.2 | Presence detected, Failure detected\n"
    code, report = doctor("--root", str(tree(tmp_path / "root", 8, 32, supplies=supplies)), gpus=f"{T4};{T4}")
    assert code == 1 and "power supply PSU2 does not work" in whats(report, "problem")


def test_single_points_of_failure_are_warnings_with_mends(doctor, tmp_path):
    supplies = "PSU1 Status | C8h | ok | 10.1 | Presence detected\n"
    root = tree(tmp_path / "root", 8, 32, mdstat="Personalities :\nunused devices: <none>\n", supplies=supplies)
    code, report = doctor("--root", str(root), gpus=T4)
    assert code == 0
    for words in ["no RAID", "one power supply", "one GPU"]:
        assert words in whats(report, "warning")
    assert all(each["mend"] for each in report["findings"])
    # A machine with all of it twice has no such warning.
    both = supplies + supplies.replace("PSU1", "PSU2")
    _, report = doctor("--root", str(tree(tmp_path / "good", 8, 32, supplies=both)), gpus=f"{T4};{T4}")
    assert report["findings"] == []


def test_the_models_here_are_told_exactly(tmp_path, engine_data):
    got = run("--data", str(engine_data), "doctor", "--json", home=tmp_path, timeout=10)
    fit = next(each for each in json.loads(got.stdout)["models"] if each["model"] == "smollm2:135m")
    assert fit["fits"] and fit["context"] == 8192 and fit["quantization"] == "Q4_1"
    shown = json.loads(run("--data", str(engine_data), "show", "smollm2:135m", "--context", "8192", "--json", home=tmp_path).stdout)
    assert fit["memory"] == shown["memory"]["total"] and fit["tokens_per_second"] > 0


def test_a_person_can_read_it(doctor, tmp_path):
    code, text = doctor("--root", str(tree(tmp_path / "root", 16, 64)), gpus=A100, as_json=False)
    lines = text.splitlines()
    assert code == 0 and lines[0] == "tier      standard" and "CPU       16 cores, 16 threads, 2 NUMA nodes; Test CPU; avx2" in lines
    assert any(line.startswith("RAID      md0: raid10, 4 of 4 disks") for line in lines)
    widest = max(len(line.replace(str(tmp_path), "/tmp")) for line in lines)
    assert widest < 170 and "warning: one GPU" in text and "  mend: " in text


def test_an_empty_tree_says_what_it_lacks(doctor, tmp_path):
    (tmp_path / "empty").mkdir()
    code, report = doctor("--root", str(tmp_path / "empty"), gpus="")
    assert code == 0 and report["tier"] == "cloud-only" and any(each["what"] == "software RAID" for each in report["unread"])
