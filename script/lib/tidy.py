"""clang-tidy over the compile database, in parallel, with passes remembered.

tidy.py BUILD_DIR CACHE_DIR JOBS [--all | --since COMMIT] [FILE...]

Without files: every source of src/, tests/ and bench/ that the database has. A pass is remembered by
the content of the source, of every header of ours it includes, of .clang-tidy, and by the command
and clang-tidy's version, the same in every checkout; so only what changed is looked at again. With
--since, where nothing is remembered yet, that commit counts as one that has passed: only sources that
differ from it are looked at, and for each header that differs one source that includes it; the others
are remembered as passed. --all looks at everything that is not remembered.

Precompiled headers are taken out of the commands: clang-tidy would walk through all of one for every
file, and without it each file shows that it includes what it uses. Ends with 1 when there are findings.
"""

import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TIDY = "clang-tidy-19"
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.M)


def bare_arguments(command: str) -> list[str]:
    """The compiler's arguments, without the launcher before it and what CMake adds for a precompiled header."""
    words = shlex.split(command)
    while words and not re.search(r"clang(\+\+)?(-\d+)?$", words[0]):
        del words[0]
    out, at = [], 0
    while at < len(words):
        if words[at] in ("-Winvalid-pch", "-fpch-instantiate-templates"):
            at += 1
        elif words[at : at + 2] == ["-Xclang", "-fno-pch-timestamp"]:
            at += 2
        elif words[at] == "-Xclang" and words[at + 1 : at + 2] in (["-include"], ["-include-pch"]):
            at += 4  # -Xclang -include-pch -Xclang FILE
        else:
            out.append(words[at])
            at += 1
    return out


def read_database(build: pathlib.Path) -> dict[pathlib.Path, dict]:
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["file"])
        if file.is_relative_to(ROOT) and not file.is_relative_to(build):
            entry["arguments"] = bare_arguments(entry.pop("command"))
            entries.setdefault(file, entry)
    return entries


def closure(file: pathlib.Path, seen: dict[pathlib.Path, bytes]) -> None:
    """Adds `file` and the headers of ours that it includes, each with its content."""
    if file in seen or not file.is_file():
        return
    seen[file] = file.read_bytes()
    for name in INCLUDE.findall(seen[file]):
        for folder in (ROOT / "src", ROOT / "tests", file.parent):
            closure(folder / name.decode(), seen)


def key_of(entry: dict, common: bytes) -> str:
    contents: dict[pathlib.Path, bytes] = {}
    closure(pathlib.Path(entry["file"]), contents)
    digest = hashlib.sha256(common + shlex.join(entry["arguments"]).replace(str(ROOT), "").encode())
    for path in sorted(contents):
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode() + contents[path])
    return digest.hexdigest()


def differing(commit: str) -> set[pathlib.Path]:
    """What differs from `commit` now, committed or not."""
    names = subprocess.run(["git", "diff", "--name-only", commit], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    names += subprocess.run(["git", "ls-files", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return {ROOT / name for name in names.splitlines()}


def worth_a_look(files: list[pathlib.Path], changed: set[pathlib.Path]) -> set[pathlib.Path]:
    """Of `files` those in `changed`, and for each other member of `changed` one that includes it."""
    if ROOT / ".clang-tidy" in changed:
        return set(files)
    chosen = changed.intersection(files)
    includes: dict[pathlib.Path, dict[pathlib.Path, bytes]] = {}
    for file in files:
        includes[file] = {}
        closure(file, includes[file])
    left = changed - {one for file in chosen for one in includes[file]}
    for file in sorted(files, key=lambda one: len(left.intersection(includes[one])), reverse=True):
        if not left.isdisjoint(includes[file]):
            chosen.add(file)
            left -= includes[file].keys()
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=lambda name: pathlib.Path(name).resolve())
    parser.add_argument("cache", type=pathlib.Path)
    parser.add_argument("jobs", type=int)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--since")
    parser.add_argument("files", nargs="*", type=lambda name: pathlib.Path(name).resolve())
    options = parser.parse_args()
    cache, jobs, wanted = options.cache, options.jobs, set(options.files)
    database = read_database(options.build)
    lint = options.build / "tidy"
    lint.mkdir(exist_ok=True)
    (lint / "compile_commands.json").write_text(json.dumps(list(database.values())))
    cache.mkdir(parents=True, exist_ok=True)

    chosen = {}
    for file, entry in database.items():
        if wanted:
            headers: dict[pathlib.Path, bytes] = {}
            closure(file, headers)
            if wanted.isdisjoint(headers):
                continue
        chosen[file] = entry
    common = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout + (ROOT / ".clang-tidy").read_bytes()
    todo = {}
    for file, entry in chosen.items():
        key = key_of(entry, common)
        if not (cache / key).exists():
            todo[file] = key
    if options.since and not wanted and not options.all and next(cache.iterdir(), None) is None:
        look = worth_a_look(list(todo), differing(options.since))
        for file in todo.keys() - look:
            (cache / todo.pop(file)).touch()
    print(f"    clang-tidy: {len(chosen)} files, {len(todo)} to look at", file=sys.stderr, flush=True)

    def run(file: pathlib.Path) -> subprocess.CompletedProcess:
        return subprocess.run([TIDY, "-p", str(lint), "--quiet", str(file)], capture_output=True, text=True, stdin=subprocess.DEVNULL)

    failed, seen, told = 0, set(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(run, file): file for file in todo}
        for done, future in enumerate(concurrent.futures.as_completed(running), 1):
            file, result = running[future], future.result()
            if result.returncode == 0:
                (cache / todo[file]).touch()
            else:
                failed += 1
                for block in re.split(r"\n(?=/)", result.stdout.strip()):  # a header's finding once
                    if block not in seen:
                        seen.add(block)
                        print(block, flush=True)
                if not result.stdout.strip():
                    print(f"{file}: {result.stderr.strip()}", flush=True)
            if time.monotonic() - told > 15:
                told = time.monotonic()
                print(f"    {done} of {len(todo)}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
