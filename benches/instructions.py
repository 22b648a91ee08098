#!/usr/bin/env python3
"""Counts the instructions of one prediction and of one call through the worker's core, and compares
them with `instructions.json` beside this file; `just instructions` runs this.

Unlike time, instructions do not depend on what else the machine is doing. They do depend on the
compiler and on how it was told to build: this is the build of the tests, which is slower than a
release, so only a change of the numbers means something. callgrind, of valgrind, counts; it has no
AVX-512, so that the kernel takes its AVX2 form.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BASELINE = ROOT / "benches" / "instructions.json"
WHAT = {
    "predict": "one prediction",
    "call": "one call through the core",
    "realistic": "the same with the scenario 'realistic'",
}
# A realistic call costs at most this much of a plain one.
MOST_OF_A_CALL = 1.3
# Two runs, so that their difference is free of what comes before the first one.
FEW, MANY = 2_000, 42_000
# A change by more than this has to be meant.
TOLERANCE = 0.05


def build():
    """Builds `core.rs` with the tests, whose build it shares, and returns the program."""
    subprocess.run(["cargo", "test", "--quiet", "--workspace", "--no-run"], cwd=ROOT, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug/examples/core"


def instructions(program, what, count):
    """All instructions of a run."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", program]
        run = subprocess.run([*command, what, str(count)], stderr=subprocess.PIPE, encoding="utf-8")
        if run.returncode != 0:
            sys.exit(f"instructions: valgrind ended with {run.returncode}:\n{run.stderr}")
        return int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)[1])


def missing():
    """Why the counts of this machine could not be compared, if that is so."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    cpu = pathlib.Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or " avx2 " not in cpu.read_text(encoding="utf-8"):
        return "the counts are those of x86-64 with AVX2"
    return None


def count(program):
    return {
        what: (instructions(program, what, MANY) - instructions(program, what, FEW)) / (MANY - FEW)
        for what in WHAT
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--update", action="store_true", help="take the numbers as the new baseline")
    arguments = parser.parse_args()
    if reason := missing():
        return print(f"skipped: {reason}")
    found = count(build())
    if arguments.update:
        BASELINE.write_text(json.dumps({k: round(v) for k, v in found.items()}, indent=1) + "\n")
    baseline = json.loads(BASELINE.read_text())
    changed = False
    for what, name in WHAT.items():
        ratio = found[what] / baseline[what]
        print(f"{name}: {found[what]:,.0f} instructions, {100 * (ratio - 1):+.1f} %")
        changed |= abs(ratio - 1) > TOLERANCE
    ratio = found["realistic"] / found["call"]
    print(f"a realistic call: {100 * (ratio - 1):+.1f} % against a plain one")
    if ratio > MOST_OF_A_CALL:
        sys.exit(f"instructions: found {ratio:.2f} of a plain call, at most {MOST_OF_A_CALL}")
    if changed:
        sys.exit(
            f"instructions: changed by more than {TOLERANCE:.0%}; if that is meant, "
            "`just instructions --update` takes the numbers as the new baseline"
        )


if __name__ == "__main__":
    main()
