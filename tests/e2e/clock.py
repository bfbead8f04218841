"""Time in the tests: one factor for slow builds (sanitizers), and polling instead of sleeping."""

from __future__ import annotations

import os
import time
from typing import Callable, TypeVar

SLOW = max(1.0, float(os.environ.get("SPILLWAY_TEST_SLOW", "1")))

T = TypeVar("T")


def slow(seconds: float) -> float:
    """`seconds` on a release build, more on a sanitized one."""
    return seconds * SLOW


def duration(seconds: float) -> str:
    """A config duration, stretched like `slow`."""
    return f"{round(slow(seconds) * 1000)}ms"


def eventually(what: str, condition: Callable[[], T], seconds: float = 5.0, every: float = 0.005) -> T:
    """Polls until `condition` gives something true, and returns it; fails with `what` after `seconds`. What takes long is asked
    less often (30 ms apart at most, or `every`), since asking takes the time of others."""
    longest = max(every, 0.03)
    deadline = time.monotonic() + slow(seconds)
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {slow(seconds):g} s: {what}; last seen: {got!r}")
        time.sleep(every)
        every = min(every * 1.2, longest)


def stays(what: str, condition: Callable[[], bool], seconds: float, every: float = 0.01) -> None:
    """Fails as soon as `condition` does not hold within the next `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not condition():
            raise AssertionError(f"did not hold for {seconds:g} s: {what}")
        time.sleep(every)
