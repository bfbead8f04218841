#!/usr/bin/env python3
"""What the scripts' libraries do on machines that are not ours: nothing installed, nothing set, moved, in a folder
with a blank in its name.

    python3 tests/scripts_test.py
"""

import os
import pathlib
import re
import shutil
import signal
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

    def test_where_nothing_passed_before_what_changed_is_looked_at_and_one_user_of_each_changed_header(self):
        import tidy
        with tempfile.TemporaryDirectory() as folder:
            root, tidy.ROOT = tidy.ROOT, pathlib.Path(folder)
            try:
                (tidy.ROOT / "src").mkdir()
                texts = {"a.h": "", "b.h": '#include "a.h"\n', "x.cc": '#include "b.h"\n', "y.cc": '#include "a.h"\n', "z.cc": "", "w.cc": ""}
                for name, text in texts.items():
                    (tidy.ROOT / "src" / name).write_text(text)
                files = [tidy.ROOT / "src" / name for name in texts if name.endswith(".cc")]

                def look(*changed: str) -> list[str]:
                    return sorted(one.name for one in tidy.worth_a_look(files, {tidy.ROOT / name for name in changed}))

                self.assertEqual(look(), [])
                self.assertEqual(look("src/z.cc", "README.md"), ["z.cc"])
                self.assertEqual(look("src/a.h", "src/b.h"), ["x.cc"])
                self.assertEqual(look("src/a.h", "src/y.cc"), ["y.cc"])
                self.assertEqual(look(".clang-tidy"), ["w.cc", "x.cc", "y.cc", "z.cc"])
            finally:
                tidy.ROOT = root


class SharedObjects(unittest.TestCase):
    def test_a_checkout_in_another_folder_finds_what_one_has_compiled(self):
        with tempfile.TemporaryDirectory() as folder:
            cache = pathlib.Path(folder) / "cache"
            source = {"src/pre.h": "#pragma once\n#include <vector>\n", "src/a.h": "inline int two() { return 2; }\n",
                      "src/a.cc": '#include "a.h"\nint size(const std::vector<int>& all) { return all.size() * two(); }\n'}
            for name, fresh in (("one", 2), ("an other", 1), ("one again", 1)):  # a precompiled header is made in each
                root = pathlib.Path(folder) / name
                for file, text in source.items():
                    (root / file).parent.mkdir(parents=True, exist_ok=True)
                    (root / file).write_text(text)
                build = root / "build/x"
                build.mkdir(parents=True)
                pch = build / "pre.h.pch"
                common = [str(ROOT / "cmake/ccache.sh"), str(root), "clang++-19", f"-I{root}/src", f"-ffile-prefix-map={root}/=", "-g1",
                          "-fpch-instantiate-templates", "-Xclang", "-fno-pch-timestamp"]
                environment = os.environ | {"CCACHE_DIR": str(cache)}
                for arguments in (["-Xclang", "-emit-pch", "-x", "c++-header", "-o", str(pch), "-MD", "-MF", "pre.d", "-c", f"{root}/src/pre.h"],
                                  ["-Xclang", "-include-pch", "-Xclang", str(pch), "-MD", "-MF", "a.d", "-o", "a.o", "-c", f"{root}/src/a.cc"]):
                    subprocess.run(common + arguments, cwd=build, check=True, env=environment)
                self.assertTrue((build / "a.o").exists())
                told = subprocess.run(["ccache", "--print-stats"], env=environment, check=True, capture_output=True, text=True).stdout
                self.assertIn(f"cache_miss\t{fresh}\n", told, name)
                subprocess.run(["ccache", "--zero-stats"], env=environment, check=True, capture_output=True)
            source["src/a.h"] = source["src/a.h"].replace("2", "3")
            (root / "src/a.h").write_text(source["src/a.h"])
            before = (build / "a.o").read_bytes()
            subprocess.run(common + arguments, cwd=build, check=True, env=environment)
            self.assertNotEqual(before, (build / "a.o").read_bytes())


class Bare(unittest.TestCase):
    @unittest.skipUnless(os.geteuid() == 0, "namespaces need root")
    def test_what_runs_in_namespaces_ends_with_the_script_however_that_ends(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            with tempfile.TemporaryDirectory() as folder:
                fifo = pathlib.Path(folder) / "fifo"
                os.mkfifo(fifo)
                script = (f'. "{ROOT}/script/lib/common.sh"\n. "$ROOT/script/lib/prepare.sh"\n. "$ROOT/script/lib/bare.sh"\n'
                          f'in_namespaces bash -c "exec 3>{fifo}; echo up >&3; sleep 1000"')
                process = subprocess.Popen(["bash", "-c", script])
                with fifo.open() as inside:
                    self.assertEqual(inside.readline(), "up\n")
                    process.send_signal(how)
                    process.wait(timeout=30)
                    self.assertEqual(inside.read(), "")  # its end: nobody inside holds it any more

    def test_it_is_not_run_again_where_nothing_that_decides_has_changed(self):
        with tempfile.TemporaryDirectory() as folder:
            bare = '. "$ROOT/script/lib/bare.sh"\nprovide_packages() { :; }\nin_namespaces() { echo "built"; }\n'
            bare += 'id() { echo 0; }\nunshare() { :; }\n'
            first = shell(bare + "test_bare", SPILLWAY_CACHE=folder, TMPDIR=folder)
            self.assertEqual(first.stdout, "built\n1 passed, 0 failed, 0 skipped\n", first.stderr)
            second = shell(bare + "test_bare", SPILLWAY_CACHE=folder, TMPDIR=folder)
            self.assertEqual(second.stdout, "1 passed, 0 failed, 0 skipped\n", second.stderr)
            self.assertIn("passed on this machine", second.stderr)
            changed = shell(bare + 'dpkg-query() { echo "clang-19 20"; }\ntest_bare', SPILLWAY_CACHE=folder, TMPDIR=folder)
            self.assertIn("built", changed.stdout)
            honest = shell(bare + "test_bare", SPILLWAY_CACHE=folder, TMPDIR=folder, SPILLWAY_BARE_CACHE="0")
            self.assertIn("built", honest.stdout)
            failing = bare.replace('echo "built"', "false") + 'dpkg-query() { echo "clang-19 21"; }\ntest_bare'
            for _ in range(2):
                got = shell(failing, SPILLWAY_CACHE=folder, TMPDIR=folder)
                self.assertEqual((got.returncode, got.stdout), (1, "0 passed, 1 failed, 0 skipped\n"), got.stderr)


class Ci(unittest.TestCase):
    def run_ci(self, test: str, budget: str | None = None) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            text = (ROOT / ".ci/run").read_text()
            for name, content in ((".ci/run", re.sub(r"^BUDGET=\d+", f"BUDGET={budget}", text, flags=re.M) if budget else text),
                                  ("script/lint", '#!/bin/bash\necho "6 passed, 0 failed"\n'), ("script/test", f"#!/bin/bash\n{test}\n")):
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_text(content)
                (root / name).chmod(0o755)
            env = {name: value for name, value in os.environ.items() if not name.startswith("SPILLWAY_")}
            return subprocess.run(["bash", ".ci/run"], cwd=root, env=env, capture_output=True, text=True, timeout=60)

    def test_it_tells_where_the_time_went_and_sums_up(self):
        got = self.run_ci('echo "==> time: unit 9 s" >&2; echo "flaky: some test (release, 3 times so far)"; echo "2 passed, 0 failed, 1 skipped"')
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertRegex(got.stdout, r"release +\d+ s +2 passed, 0 failed, 1 skipped +unit 9 s\n")
        self.assertRegex(got.stdout, r"all +\d+ s +of \d+\n")
        self.assertIn("flaky: some test (release, 3 times so far)\n", got.stdout.split("all ")[-1])
        self.assertTrue(got.stdout.endswith("14 passed, 0 failed, 4 skipped\n"))

    def test_a_part_that_dies_and_time_above_the_budget_are_failures(self):
        got = self.run_ci('[ "${SPILLWAY_BUILD:-}" != tsan ] || exit 3; echo "2 passed, 0 failed, 0 skipped"')
        self.assertEqual(got.returncode, 1)
        self.assertTrue(got.stdout.endswith("12 passed, 1 failed, 0 skipped\n"), got.stdout)
        got = self.run_ci('echo "2 passed, 0 failed, 0 skipped"', budget="-1")
        self.assertEqual(got.returncode, 1)
        self.assertIn("longer than the -1 s", got.stdout)


if __name__ == "__main__":
    unittest.main()
