#!/usr/bin/env python3
"""Puts what a bench measured into a text file, between two marks.

    report.py FILE NAME TEXTFILE

replaces what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->` in FILE with TEXTFILE.

    report.py --machine

prints what to call this machine.
"""

import os
import pathlib
import platform
import sys


def machine():
    """The processor, how many cores this process may use, and the kernel, in one line."""
    cores = len(os.sched_getaffinity(0))
    kernel = platform.release().split("-")[0]
    return f"{processor()}, {cores} core{'s' * (cores != 1)}, {platform.system()} {kernel}"


def processor():
    """The processor's name, or its architecture where /proc/cpuinfo has none."""
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        field, _, value = line.partition(":")
        if field.strip() == "model name":
            return value.strip()
    return platform.machine()


def around_section(file, name):
    """What stands before and after a section, its marks included. Exits when there is none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    try:
        text = pathlib.Path(file).read_text(encoding="utf-8")
    except OSError as error:
        sys.exit(f"{file}: {error.strerror}")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        sys.exit(f"{file}: expected one {begin} and, after it, one {end}")
    return text[: text.index(begin)] + begin, text[text.index(end) :]


def replace_section(file, name, text):
    """Replaces what stands between the marks of a section."""
    before, after = around_section(file, name)
    pathlib.Path(file).write_text(f"{before}\n{text.strip()}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--machine"]:
        print(machine())
        sys.exit()
    if len(sys.argv) != 4:
        sys.exit("usage: report.py FILE NAME TEXTFILE | --machine")
    replace_section(*sys.argv[1:3], pathlib.Path(sys.argv[3]).read_text(encoding="utf-8"))
