"""Adds up test reports in JUnit's format and prints "PASSED FAILED SKIPPED".

count_tests.py CTEST_XML GTEST_FOLDER [PYTEST_XML]

A ctest entry is one test program. Where GoogleTest left a report of that program, its single tests
are counted; otherwise (a fuzz corpus, a script, a program that died) the entry itself is.
"""

import pathlib
import sys
import xml.etree.ElementTree as ET


def count(path: pathlib.Path) -> tuple[int, int, int]:
    passed = failed = skipped = 0
    for case in ET.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            failed += 1
        elif case.find("skipped") is not None or case.get("result") in ("skipped", "suppressed") or case.get("status") in (
            "notrun",
            "disabled",
        ):
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def count_ctest(report: pathlib.Path, gtest: pathlib.Path) -> tuple[int, int, int]:
    total = [0, 0, 0]
    for case in ET.parse(report).getroot().iter("testcase"):
        single = gtest / f"{case.get('name')}_test.xml"
        died = case.get("status") == "fail"
        counts = (0, 0, 0)
        if single.exists():
            try:
                counts = count(single)
            except ET.ParseError:  # it died while writing
                pass
        if sum(counts) == 0:
            counts = (0, 1, 0) if died else (1, 0, 0)
        elif died and counts[1] == 0:
            counts = (counts[0], 1, counts[2])
        total = [a + b for a, b in zip(total, counts)]
    return tuple(total)


def main() -> None:
    ctest, gtest, *pytest = map(pathlib.Path, sys.argv[1:])
    total = count_ctest(ctest, gtest) if ctest.exists() else (0, 0, 0)
    for report in pytest:
        if report.exists():
            total = [a + b for a, b in zip(total, count(report))]
    print(*total)


main()
