"""clang-tidy over the compile database, in parallel, with passes remembered.

tidy.py BUILD_DIR CACHE_DIR JOBS [FILE...]

Without files: every source of src/, tests/ and bench/ that the database has. A pass is remembered by
the content of the source, of every header of ours it includes, of .clang-tidy, and by the command
and clang-tidy's version; so only what changed is looked at again. Precompiled headers are taken out
of the commands: clang-tidy would walk through all of one for every file, and without it each file
shows that it includes what it uses. Ends with 1 when there are findings.
"""

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
    digest = hashlib.sha256(common + shlex.join(entry["arguments"]).encode())
    for path in sorted(contents):
        digest.update(f"\0{path}\0".encode() + contents[path])
    return digest.hexdigest()


def main() -> int:
    build, cache, jobs = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    wanted = {pathlib.Path(name).resolve() for name in sys.argv[4:]}
    database = read_database(build)
    lint = build.parent / "lint"
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
