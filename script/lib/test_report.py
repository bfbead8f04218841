"""Reads test reports in JUnit's format.

test_report.py count CTEST_XML GTEST_FOLDER [PYTEST_XML]   prints "PASSED FAILED SKIPPED"
test_report.py failed CTEST_XML GTEST_FOLDER               prints "CTEST_NAME GTEST_FILTER" of each unit test that failed

A ctest entry is one test program. Where GoogleTest left a report of that program, its single tests
are counted; otherwise (a fuzz corpus, a script, a program that died) the entry itself is, and its
filter is "*".
"""

import pathlib
import sys
import xml.etree.ElementTree as ET


def failed(case: ET.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail"


def skipped(case: ET.Element) -> bool:
    return (
        case.find("skipped") is not None
        or case.get("result") in ("skipped", "suppressed")
        or case.get("status") in ("notrun", "disabled")
    )


def cases(path: pathlib.Path) -> list[ET.Element]:
    return list(ET.parse(path).getroot().iter("testcase"))


def count(found: list[ET.Element]) -> tuple[int, int, int]:
    bad = sum(failed(case) for case in found)
    left_out = sum(skipped(case) for case in found if not failed(case))
    return len(found) - bad - left_out, bad, left_out


def single_tests(gtest: pathlib.Path, name: str) -> list[ET.Element]:
    report = gtest / f"{name}_test.xml"
    try:
        return cases(report) if report.exists() else []
    except ET.ParseError:  # it died while writing
        return []


def count_ctest(report: pathlib.Path, gtest: pathlib.Path) -> tuple[int, int, int]:
    total = (0, 0, 0)
    for case in cases(report):
        counts = count(single_tests(gtest, case.get("name")))
        if sum(counts) == 0:
            counts = (0, 1, 0) if failed(case) else (1, 0, 0)
        elif failed(case) and counts[1] == 0:
            counts = (counts[0], 1, counts[2])
        total = tuple(a + b for a, b in zip(total, counts))
    return total


def main() -> None:
    what, ctest, gtest, *pytest = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
    if what == "failed":
        for case in cases(ctest) if ctest.exists() else []:
            if failed(case):
                name = case.get("name")
                singles = [f"{one.get('classname')}.{one.get('name')}" for one in single_tests(gtest, name) if failed(one)]
                for single in singles or ["*"]:
                    print(name, single)
        return
    total = count_ctest(ctest, gtest) if ctest.exists() else (0, 0, 0)
    for report in pytest:
        if report.exists():
            total = tuple(a + b for a, b in zip(total, count(cases(report))))
    print(*total)


main()
