"""Runs the first minute with Spillway, and the demo, in pseudo-terminals and draws each as one animated SVG.

record_demo.py FOLDER

The picture needs nothing but itself: no script, no font, no network. Each piece of text is hidden until
its time by a CSS animation that fills backwards, so that a viewer without animations shows the end.
"""

import dataclasses
import fcntl
import html
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata
import urllib.request

COLUMNS = 104
CELL = (8.4, 20.0)  # width and height of a character cell at 14 px
MARGIN = (22.0, 52.0)
LONGEST_PAUSE = 1.5  # seconds
TYPING = 0.035  # seconds a key
COLOURS = {
    30: "#6e7681", 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea", 37: "#e6edf3",
    90: "#8b949e", 91: "#ffa198", 92: "#a5f3b0", 93: "#f2cc60", 94: "#a5d6ff", 95: "#e2c5ff", 96: "#b3f0ff", 97: "#ffffff",
}  # fmt: skip
ASK = (
    "curl -N localhost:8080/v1/chat/completions -d"
    """ '{"model": "smollm2:135m", "stream": true, "max_tokens": 12, "temperature": 0,"""
    """ "messages": [{"role": "user", "content": "Why is the sky blue?"}]}'"""
)


@dataclasses.dataclass
class Style:
    colour: str = "#e6edf3"
    bold: bool = False


@dataclasses.dataclass
class Piece:
    row: int
    column: int
    text: str
    style: Style
    at: float


class Screen:
    """Places text on rows and columns and remembers when it came."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.row = self.column = 0
        self.style = Style()
        self.wrap = True
        self.blank = 0

    def write(self, text: str, at: float) -> None:
        for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\n|\r)", text):
            if part == "\n":
                # Of several empty lines (an SSE stream has one after each event) one is kept, or none.
                self.blank = self.blank + 1 if self.column == 0 else 0
                if self.column or (self.wrap and self.blank == 1):
                    self.row += 1
                self.column = 0
            elif part == "\r":
                pass
            elif part.startswith("\x1b["):
                if part.endswith("m"):
                    self.colour([int(n or 0) for n in part[2:-1].split(";")])
            elif part:
                self.place(part, at)

    def colour(self, codes: list[int]) -> None:
        for code in codes:
            if code == 0:
                self.style = Style()
            elif code == 1:
                self.style = dataclasses.replace(self.style, bold=True)
            elif code == 2:
                self.style = dataclasses.replace(self.style, colour=COLOURS[90])
            elif code in COLOURS:
                self.style = dataclasses.replace(self.style, colour=COLOURS[code])
            elif code == 39:
                self.style = dataclasses.replace(self.style, colour=Style().colour)

    def place(self, text: str, at: float) -> None:
        text = text.expandtabs(8)
        while text:
            room = COLUMNS - self.column
            if room <= 0:
                if not self.wrap:
                    return
                self.row, self.column = self.row + 1, 0
                continue
            now, text = text[:room], text[room:]
            if text and not self.wrap:
                now, text = now[:-1] + "…", ""
            bare = now.lstrip(" ")
            if bare.strip():
                self.pieces.append(Piece(self.row, self.column + len(now) - len(bare), bare, self.style, at))
            self.column += sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in now)
            if len(now) == room:
                self.column = COLUMNS


class Recording:
    def __init__(self) -> None:
        self.screen = Screen()
        self.clock = 0.4

    def type(self, command: str) -> None:
        screen = self.screen
        screen.wrap = True
        screen.style = Style(COLOURS[92], bold=True)
        screen.write("$ ", self.clock)
        screen.style = Style(bold=True)
        self.clock += 0.4
        for i in range(0, len(command), 3):
            screen.write(command[i : i + 3], self.clock)
            self.clock += 3 * TYPING
        screen.style = Style()
        screen.write("\n", self.clock)
        self.clock += 0.3

    def note(self, text: str) -> None:
        self.screen.style = Style(COLOURS[90])
        self.screen.write(f"\n# {text}\n", self.clock)
        self.screen.style = Style()
        self.clock += 0.6

    def watch(self, fd: int, until, wrap: bool) -> None:
        """Takes over what comes from the terminal `fd` until it ends or `until()` holds."""
        self.screen.wrap = wrap
        last = time.monotonic()
        while True:
            ready, _, _ = select.select([fd], [], [], 0.1)
            if ready:
                try:
                    data = os.read(fd, 65536)
                except OSError:  # the other side is closed
                    return
                if not data:
                    return
                now = time.monotonic()
                self.clock += min(now - last, LONGEST_PAUSE)
                last = now
                self.screen.write(data.decode(errors="replace"), self.clock)
            elif until and until():
                return


def start(command: list[str], env: dict[str, str]) -> tuple[subprocess.Popen, int]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    return process, ours


def is_ready() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/readyz", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def draw(recording: Recording, title: str) -> str:
    screen = recording.screen
    rows = screen.row + 1
    width = round(MARGIN[0] * 2 + COLUMNS * CELL[0])
    height = round(MARGIN[1] + rows * CELL[1] + 18)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{html.escape(title)}</title>",
        "<style>"
        "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace;white-space:pre}"
        "@keyframes h{from,to{opacity:0}}"
        ".p{animation:h .01s backwards}"
        "@media (prefers-reduced-motion:reduce){.p{animation:none}}"
        "</style>",
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10" fill="#0d1117" stroke="#30363d"/>',
    ]
    for i, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        out.append(f'<circle cx="{24 + 20 * i}" cy="22" r="6" fill="{colour}"/>')
    for piece in screen.pieces:
        text = piece.text.rstrip()
        x = MARGIN[0] + piece.column * CELL[0]
        y = MARGIN[1] + piece.row * CELL[1] + 8
        cells = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
        weight = ' font-weight="700"' if piece.style.bold else ""
        out.append(
            f'<text class="p" xml:space="preserve" style="animation-delay:{piece.at:.2f}s" x="{x:.1f}" y="{y:.1f}" fill="{piece.style.colour}"{weight}'
            f' textLength="{cells * CELL[0]:.1f}" lengthAdjust="spacingAndGlyphs">{html.escape(text)}</text>'
        )
    out.append("</svg>\n")
    return "\n".join(out)


def write(recording: Recording, target: pathlib.Path, title: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(draw(recording, title), encoding="utf-8")
    print(f"{target}: {recording.screen.row + 1} rows, {recording.clock:.0f} s", file=sys.stderr)


def text_of(recording: Recording) -> str:
    return "".join(piece.text for piece in recording.screen.pieces)


def run_shown(recording: Recording, command: list[str], shown: str, env: dict[str, str], wrap: bool) -> bool:
    recording.type(shown)
    process, output = start(command, env)
    recording.watch(output, None, wrap)
    recording.screen.style = Style()
    recording.screen.wrap = True
    os.close(output)
    if process.wait() == 0:
        return True
    print(f"error: '{shown}' ended with {process.returncode}", file=sys.stderr)
    return False


def record_first_run(target: pathlib.Path, env: dict[str, str]) -> bool:
    if is_ready():
        print("error: something answers on port 8080\n  mend: stop it; the recording uses the default ports", file=sys.stderr)
        return False
    recording = Recording()
    recording.type("script/server")
    server, terminal = start(["script/server"], env)
    try:
        recording.watch(terminal, is_ready, wrap=True)
        if server.poll() is not None:
            print("error: script/server ended by itself\n  mend: run it and read what it says", file=sys.stderr)
            return False
        recording.note("in another terminal")
        for command, shown, wrap in (
            (["bash", "-c", ASK.replace("curl -N", "curl -sN")], ASK, False),
            (["spillway", "status"], "spillway status", True),
        ):
            if not run_shown(recording, command, shown, env, wrap):
                return False
            recording.screen.write("\n" if recording.screen.column == 0 else "\n\n", recording.clock)
            recording.clock += 0.8
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
    if "data:" not in text_of(recording) or "[DONE]" not in text_of(recording):
        print("error: no streamed answer was seen", file=sys.stderr)
        return False
    write(recording, target, "script/server starts the gateway; curl streams an answer of the local model through it")
    return True


def record_plug(target: pathlib.Path, env: dict[str, str]) -> bool:
    recording = Recording()
    if not run_shown(recording, ["script/demo"], "script/demo", env, wrap=True):
        return False
    if "goes on]" not in text_of(recording):
        print("error: the answer did not go on", file=sys.stderr)
        return False
    write(recording, target, "A simulated DeepSeek is killed in the middle of an answer, and the local model finishes the sentence")
    return True


def main() -> int:
    folder = pathlib.Path(sys.argv[1])
    env = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k != "SPILLWAY_CONFIG"}
    env |= {"TERM": "xterm-256color", "PATH": f"{pathlib.Path('build/release').resolve()}:{env['PATH']}"}
    fine = record_first_run(folder / "first-run.svg", env) and record_plug(folder / "plug-pulled.svg", env)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
