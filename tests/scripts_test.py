#!/usr/bin/env python3
"""What the scripts' libraries do on machines that are not ours: nothing installed, nothing set, moved, in a folder
with a blank in its name.

    python3 tests/scripts_test.py
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def shell(text: str, root: pathlib.Path = ROOT, cwd: pathlib.Path | None = None, **env: str) -> subprocess.CompletedProcess:
    """Runs `text` behind common.sh and prepare.sh, as a script of ours does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPILLWAY_")} | env
    kept = {name: value for name, value in kept.items() if value != "UNSET"}
    script = f'. "{root}/script/lib/common.sh"\n. "$ROOT/script/lib/prepare.sh"\n{text}'
    return subprocess.run(["bash", "-c", script], env=kept, cwd=cwd or root, text=True, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL)


class Packages(unittest.TestCase):
    def test_a_name_that_dpkg_never_heard_of_is_missing_and_no_failure(self):
        got = shell("missing_packages bash no-such-package-zz libc6; echo end")
        self.assertEqual(got.stdout.split(), ["no-such-package-zz", "end"], got.stderr)

    def test_the_lock_on_the_lists_is_waited_for(self):
        with tempfile.TemporaryDirectory() as folder:
            fake = pathlib.Path(folder) / "apt-get"
            fake.write_text(f'#!/bin/bash\nn=$(cat {folder}/n 2>/dev/null || echo 0)\necho $((n + 1)) >{folder}/n\n'
                            '[ "$n" -ge 2 ] || { echo "E: Could not get lock /var/lib/apt/lists/lock"; exit 100; }\n')
            fake.chmod(0o755)
            got = shell(f'sleep() {{ :; }}\nas_root() {{ "$@"; }}\nupdate_package_lists {folder}/log',
                        PATH=f"{folder}:{os.environ['PATH']}")
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertEqual((pathlib.Path(folder) / "n").read_text().strip(), "3")
            self.assertIn("waiting for another apt-get", got.stderr)


class Failures(unittest.TestCase):
    def test_a_failure_inside_a_substitution_ends_the_script(self):
        got = shell('inner() { false; echo "went on"; }\nx="$(inner)"\necho "$x"')
        self.assertNotEqual(got.returncode, 0)
        self.assertEqual(got.stdout, "")

    def test_looking_for_text_in_much_output_does_not_end_in_sigpipe(self):
        got = shell('holds_text "$(seq 1 400000)" "^7$" && echo found')
        self.assertEqual((got.returncode, got.stdout), (0, "found\n"), got.stderr)

    def test_without_a_home_it_is_looked_up_or_the_mend_is_told(self):
        got = shell('echo "$HOME"', HOME="UNSET")
        self.assertTrue(pathlib.Path(got.stdout.strip()).is_dir(), got.stderr)
        text = 'getent() { return 2; }\nunset HOME\n. "$ROOT/script/lib/common.sh"'
        got = shell(text)
        self.assertEqual(got.returncode, 1)
        self.assertIn("HOME is not set", got.stderr)
        self.assertIn("mend:", got.stderr)

    def test_a_package_with_another_digest_is_refused_before_it_is_opened(self):
        with tempfile.TemporaryDirectory() as folder:
            fake = pathlib.Path(folder) / "pip/bin/pip"
            fake.parent.mkdir(parents=True)
            (pathlib.Path(folder) / "pip/complete").touch()
            fake.write_text(f'#!/bin/bash\necho "$@" >{folder}/arguments\n')
            fake.chmod(0o755)
            got = shell(f"fetch_package {folder}/work some-package==1.0 {'ab' * 32} --no-binary :all:", SPILLWAY_CACHE=folder)
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertIn("--require-hashes", (pathlib.Path(folder) / "arguments").read_text())
            self.assertEqual((pathlib.Path(folder) / "work/requirements.txt").read_text(),
                             f"some-package==1.0 --hash=sha256:{'ab' * 32}\n")


class Places(unittest.TestCase):
    def test_an_exported_cdpath_leads_nowhere(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "script").mkdir()
            got = shell('echo "$ROOT"', CDPATH=folder)
            self.assertEqual(got.stdout.strip(), str(ROOT), got.stderr)

    def test_a_build_folder_of_another_checkout_is_begun_anew(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "spill way"
            (copy / "script").mkdir(parents=True)
            shutil.copytree(ROOT / "script/lib", copy / "script/lib")
            stale = copy / "build/release"
            stale.mkdir(parents=True)
            (stale / "CMakeCache.txt").write_text("CMAKE_HOME_DIRECTORY:INTERNAL=/elsewhere\n")
            (stale / "build.ninja").write_text("")
            got = shell('quietly() { echo "ran: $*"; }\nconfigure', root=copy)
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertIn("cmake --preset release", got.stdout)
            self.assertFalse(stale.exists())

    def test_a_second_script_in_the_same_build_folder_waits_and_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            lock, go = pathlib.Path(folder) / "lock", pathlib.Path(folder) / "go"
            os.mkfifo(go)
            hold = f'. "{ROOT}/script/lib/common.sh"\nhold_lock {lock} tests\necho held\nread -r _ <{go}'
            first = subprocess.Popen(["bash", "-c", hold], stdout=subprocess.PIPE, text=True)
            self.assertEqual(first.stdout.readline(), "held\n")
            second = subprocess.Popen(["bash", "-c", f'. "{ROOT}/script/lib/common.sh"\nhold_lock {lock} tests\necho mine'],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertIn("waiting for another script that tests", second.stderr.readline())
            go.write_text("\n")
            out, _ = second.communicate(timeout=30)
            first.communicate(timeout=30)
            self.assertEqual(out, "mine\n")


class Jobs(unittest.TestCase):
    def test_there_are_no_more_compilers_than_memory_for_them(self):
        for memory, cores, expected in ((1 << 20, 8, "1"), (4 << 20, 8, "2"), (64 << 20, 3, "3")):
            text = f'nproc() {{ echo {cores}; }}\nawk() {{ echo {memory}; }}\nsed() {{ :; }}\ndefault_jobs'
            got = shell(text)
            if pathlib.Path("/sys/fs/cgroup/cpu.max").exists():
                self.assertLessEqual(int(got.stdout), int(expected), got.stderr)
            else:
                self.assertEqual(got.stdout.strip(), expected, got.stderr)


class TidyArguments(unittest.TestCase):
    def test_a_blank_in_a_path_keeps_the_arguments_apart(self):
        sys.path.insert(0, str(ROOT / "script/lib"))
        sys.dont_write_bytecode = True
        import tidy
        command = ('/usr/bin/cmake -E env A=b /usr/bin/ccache /usr/bin/clang++-19 "-I/spill way/src" -fpch-instantiate-templates '
                   '-Xclang -fno-pch-timestamp -Winvalid-pch -Xclang -include-pch -Xclang "/spill way/x.pch" '
                   '-Xclang -include -Xclang "/spill way/x.hxx" -o a.o -c "/spill way/src/a.cc"')
        self.assertEqual(tidy.bare_arguments(command),
                         ["/usr/bin/clang++-19", "-I/spill way/src", "-o", "a.o", "-c", "/spill way/src/a.cc"])


if __name__ == "__main__":
    unittest.main()
