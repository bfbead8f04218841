#!/usr/bin/env python3
"""Who may include whom: the DEPS of each src/<folder>/CMakeLists.txt are the rule, and this holds them.

    python3 tests/include_rules_test.py

Reads the calls spillway_library(NAME SOURCES … DEPS … LINK …) and finds
  - a folder with C++ files and no library target, a source file that no target names;
  - DEPS that go up the layers, or round in a circle;
  - an #include of another folder that DEPS do not lead to, directly or through others;
  - a third-party header outside the place it is confined to.
The rules themselves are tested on small trees with one fault each.
"""

import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# From the bottom up, as in docs/architecture.md. A folder may depend on folders of its own layer and
# of those below it.
LAYERS = (
    {"base"},
    {"api", "http", "config"},
    {"route", "admit", "cache", "record", "backend"},
    {"attempt", "fleet", "plan", "bench", "simulate"},
    {"admin"},
    {"serve"},
    {"cli"},
)

# What src/main.cc may include; it only hands over to the command line.
MAIN_MAY_INCLUDE = {"cli", "base"}

# Third-party headers: a pattern, where it may be included (paths under src/), and why.
CONFINED = (
    (r"boost/asio/(co_spawn|detached)\.hpp", ("base/", "http/server.cc", "attempt/race.cc", "serve/probe.cc", "cli/"),
     "coroutines that nobody awaits are started by spawn(), which has a place for their exceptions"),
    (r"mutex|condition_variable", ("base/mutex.h", "record/access_log.cc", "fleet/pull/http.cc"), "base/mutex.h has one that the compiler watches"),
    (r"spdlog/", ("base/log.cc", "record/"), "slow to compile, and behind base/log.h"),
    (r"fmt/", (".cc",), "slow to compile: in sources, not in headers"),
    (r"toml\+\+/|toml\.hpp", ("config/",), "only config/ knows the file format"),
    (r"CLI/", ("cli/command.cc",), "slow to compile, and behind cli/command.h"),
    (r"editline/", ("cli/run.cc",), "only a chat reads lines from a terminal"),
    (r"llhttp\.h", ("http/",), "behind http/'s own parser interface"),
    (r"sqlite3\.h|libpq-fe\.h", ("record/",), "only record/ knows the data bases"),
    (r"librdkafka/", ("cache/",), "only cache/sync knows Kafka"),
    (r"modsecurity/|hs/|hs\.h", ("admit/",), "only admit/guard scans content"),
    (r"curl/", ("fleet/pull/",), "only for downloads of models"),
    (r"archive\.h|archive_entry\.h", ("fleet/pull/archive.cc",), "only a package's weights come in an archive"),
    (r"zlib\.h", ("http/content_coding.cc",), "only a refusal that came compressed is inflated"),
    (r"nvml\.h", ("fleet/",), "only fleet/hardware asks the GPU"),
    (r"gtest/|gmock/|benchmark/", (), "tests and benchmarks live outside src/"),
)
# Third-party headers that some folders must not have.
FORBIDDEN = (
    (r"nlohmann/", ("http/", "api/", "attempt/", "route/"), "the hot path reads JSON with simdjson and splices it"),
    (r"boost/asio", ("api/", "config/", "route/", "plan/"), "these are pure: no sockets, no clocks"),
)

# Files that a rule of FORBIDDEN does not bind, each with its reason.
EXCEPT: dict[str, str] = {}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Library:
    def __init__(self, name: str, words: list[str]):
        self.name = name
        self.lists: dict[str, list[str]] = {"SOURCES": [], "DEPS": [], "LINK": [], "LINK_PUBLIC": []}
        current = None
        for word in words:
            if word in self.lists:
                current = word
            elif current:
                self.lists[current].append(word)

    @property
    def deps(self) -> list[str]:
        return self.lists["DEPS"]


def read_libraries(src: pathlib.Path) -> dict[str, Library]:
    libraries = {}
    for file in sorted(src.glob("*/CMakeLists.txt")):
        text = re.sub(r"#.*", "", file.read_text())
        for call in re.finditer(r"\bspillway_library\s*\(([^)]*)\)", text):
            name, *words = call.group(1).split()
            libraries[name] = Library(name, words)
    return libraries


def layer_of(folder: str) -> int | None:
    return next((i for i, layer in enumerate(LAYERS) if folder in layer), None)


def check_graph(libraries: dict[str, Library]) -> list[str]:
    problems = []
    for library in libraries.values():
        own = layer_of(library.name)
        if own is None:
            problems.append(f"src/{library.name}: not in LAYERS of tests/include_rules_test.py")
        for dep in library.deps:
            if dep not in libraries:
                problems.append(f"src/{library.name}: DEPS name {dep}, which is no library of src/")
            elif own is not None and (layer_of(dep) or 0) > own:
                problems.append(f"src/{library.name}: DEPS name {dep}, which is a layer above it")

    finished: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            problems.append("DEPS go in a circle: " + " -> ".join((*path[path.index(name):], name)))
            return
        if name in finished or name not in libraries:
            return
        for dep in libraries[name].deps:
            walk(dep, (*path, name))
        finished.add(name)

    for name in libraries:
        walk(name, ())
    return problems


def reachable(libraries: dict[str, Library], name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found and current in libraries:
            found.add(current)
            waiting += libraries[current].deps
    return found


def check_third_party(path: str, header: str) -> str | None:
    """`path` is relative to src/. What is wrong with it including `header`, if anything is."""
    for pattern, places, why in CONFINED:
        if re.match(pattern, header):
            allowed = any(path.endswith(p) if p.startswith(".") else path.startswith(p) for p in places)
            if not allowed:
                return f"<{header}> may be included {'in ' + ', '.join(places) if places else 'nowhere in src/'} only: {why}"
    for pattern, places, why in FORBIDDEN:
        if re.match(pattern, header) and path.startswith(places) and path not in EXCEPT:
            return f"<{header}> must not be included here: {why}"
    return None


# Calls that throw at JSON of another shape than expected: what others wrote is read with base/foreign_json.h.
THROWING = re.compile(r'\.at\("|\.get_to\(|get_ref<|\.value\("[^"]*",|[Jj]son::parse\((?!.*(?:false|nullptr))')
MAY_THROW = {"admin/status.cc": "inside a try block, for a status of our own"}


def check_foreign_json(path: str, text: str) -> list[str]:
    """Lines of a source with nlohmann-json that would be thrown at."""
    if "nlohmann" not in text and "foreign_json.h" not in text or path in MAY_THROW:
        return []
    return [f"src/{path}:{number}: throws at JSON of another shape; use base/foreign_json.h"
            for number, line in enumerate(text.splitlines(), 1) if THROWING.search(line)]


def check_tree(root: pathlib.Path) -> list[str]:
    """Every fault of the tree at `root`, as lines "where: what"."""
    src = root / "src"
    libraries = read_libraries(src)
    problems = check_graph(libraries)
    folders = {entry.name for entry in src.iterdir() if entry.is_dir()}
    files = sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cc") and p.is_file())

    for folder in sorted({p.relative_to(src).parts[0] for p in files if len(p.relative_to(src).parts) > 1}):
        if folder not in libraries:
            problems.append(f"src/{folder}: no spillway_library({folder} …) in src/{folder}/CMakeLists.txt")

    for file in files:
        path = file.relative_to(src)
        where = f"src/{path}"
        inside = len(path.parts) > 1
        folder = path.parts[0] if inside else ""
        if inside and folder in libraries and file.suffix == ".cc":
            cmake = (src / folder / "CMakeLists.txt").read_text()
            if not re.search(rf"(?<![\w./-]){re.escape(path.relative_to(folder).as_posix())}(?![\w./-])", cmake):
                problems.append(f"{where}: no target in src/{folder}/CMakeLists.txt names it")
        allowed = reachable(libraries, folder) if inside else MAIN_MAY_INCLUDE
        problems += check_foreign_json(path.as_posix(), file.read_text(errors="replace"))
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            bracket, header = found.groups()
            target = header.split("/")[0]
            if bracket == '"':
                if "/" not in header or target not in folders:
                    problems.append(f'{where}:{number}: "{header}": write it as "folder/file.h", from src/')
                elif target != folder and target not in allowed:
                    deps = ", ".join(libraries[folder].deps) if folder in libraries else ", ".join(sorted(allowed))
                    problems.append(
                        f'{where}:{number}: includes "{header}", but {folder or "main.cc"} may only use: {deps or "nothing"}'
                    )
            elif target in folders and (src / header).exists():
                problems.append(f"{where}:{number}: <{header}> is ours: write it in quotes")
            wrong = check_third_party(path.as_posix(), header)
            if wrong:
                problems.append(f"{where}:{number}: {wrong}")
    return problems


class ThisTree(unittest.TestCase):
    def test_keeps_the_rules(self):
        problems = check_tree(ROOT)
        self.assertFalse(problems, "\n" + "\n".join(problems))


class Rules(unittest.TestCase):
    GOOD = {
        "src/main.cc": '#include "cli/cli.h"\n',
        "src/base/CMakeLists.txt": "spillway_library(base SOURCES log.cc LINK spdlog::spdlog)",
        "src/base/log.h": "",
        "src/base/log.cc": '#include "base/log.h"\n#include <spdlog/spdlog.h>\n',
        "src/http/CMakeLists.txt": "spillway_library(http # bytes\n  SOURCES parser.cc\n  DEPS base\n  LINK llhttp)",
        "src/http/parser.h": '#include "base/log.h"\n',
        "src/http/parser.cc": '#include "http/parser.h"\n#include <llhttp.h>\n',
        "src/attempt/CMakeLists.txt": "spillway_library(attempt SOURCES loop.cc DEPS http)",
        "src/attempt/loop.cc": '#include "base/log.h"\n#include "http/parser.h"\n',
        "src/cli/CMakeLists.txt": "spillway_library(cli SOURCES command.cc DEPS attempt LINK CLI11::CLI11)",
        "src/cli/cli.h": "",
        "src/cli/command.cc": '#include "cli/cli.h"\n#include <CLI/CLI.hpp>\n',
    }

    def problems_with(self, changes: dict[str, str]) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**self.GOOD, **changes}.items():
                file = pathlib.Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return check_tree(pathlib.Path(folder))

    def assert_one(self, changes: dict[str, str], what: str) -> None:
        problems = self.problems_with(changes)
        self.assertEqual(len(problems), 1, problems)
        self.assertRegex(problems[0], what)

    def test_a_good_tree_has_no_problems(self):
        self.assertEqual(self.problems_with({}), [])

    def test_an_include_that_deps_do_not_allow_is_found(self):
        self.assert_one({"src/http/parser.h": '\n#include "attempt/loop.h"\n'}, r"src/http/parser\.h:2: includes .*may only use: base")

    def test_an_include_of_main_is_found(self):
        self.assert_one({"src/main.cc": '#include "http/parser.h"\n'}, r"src/main\.cc:1: includes")

    def test_an_include_without_folder_is_found(self):
        self.assert_one({"src/http/parser.cc": '#include "parser.h"\n'}, r"write it as")

    def test_a_dependency_upwards_is_found(self):
        self.assert_one(
            {"src/base/CMakeLists.txt": "spillway_library(base SOURCES log.cc DEPS plan)",
             "src/plan/CMakeLists.txt": "spillway_library(plan SOURCES tco.cc)",
             "src/plan/tco.cc": ""},
            r"src/base: DEPS name plan, which is a layer above",
        )

    def test_a_circle_is_found(self):
        self.assert_one(
            {"src/api/CMakeLists.txt": "spillway_library(api SOURCES a.cc DEPS http)", "src/api/a.cc": "",
             "src/http/CMakeLists.txt": "spillway_library(http SOURCES parser.cc DEPS base api)"},
            r"circle: (api -> http -> api|http -> api -> http)",
        )

    def test_an_unknown_dependency_is_found(self):
        self.assert_one({"src/cli/CMakeLists.txt": "spillway_library(cli SOURCES command.cc DEPS attempt nothing)"}, r"no library of src/")

    def test_a_folder_without_library_is_found(self):
        self.assert_one({"src/route/order.cc": ""}, r"src/route: no spillway_library\(route")

    def test_a_folder_outside_the_layers_is_found(self):
        self.assert_one({"src/misc/CMakeLists.txt": "spillway_library(misc SOURCES a.cc)", "src/misc/a.cc": ""}, r"src/misc: not in LAYERS")

    def test_a_source_that_no_target_names_is_found(self):
        self.assert_one({"src/http/lost.cc": ""}, r"src/http/lost\.cc: no target")

    def test_calls_that_throw_at_foreign_json_are_found(self):
        for line in ('json.at("a");', 'json["a"].get_to(x);', 'json.value("a", "");', "auto x = Json::parse(text);"):
            self.assertTrue(check_foreign_json("x/y.cc", "#include <nlohmann/json.hpp>\n" + line), line)
        for line in ("Json::parse(text, nullptr, false);", 'command.option("x").value("NAME");', 'json::text_at(x, {"a"});'):
            self.assertFalse(check_foreign_json("x/y.cc", "#include <nlohmann/json.hpp>\n" + line), line)

    def test_third_party_headers_out_of_place_are_found(self):
        for path, header in (
            ("http/parser.cc", "spdlog/spdlog.h"),
            ("http/parser.h", "fmt/format.h"),
            ("http/parser.cc", "toml++/toml.h"),
            ("http/parser.cc", "CLI/CLI.hpp"),
            ("http/parser.cc", "nlohmann/json.hpp"),
            ("attempt/loop.cc", "llhttp.h"),
            ("attempt/loop.cc", "sqlite3.h"),
            ("attempt/loop.cc", "gtest/gtest.h"),
        ):
            with self.subTest(header=header, path=path):
                self.assert_one({f"src/{path}": f"#include <{header}>\n"}, rf"src/{re.escape(path)}:1: <{re.escape(header)}>")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
