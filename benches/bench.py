"""What the benches have in common: their options, and what becomes of what they measure."""

import argparse
import json
import os
import pathlib
import signal
import sys

import report
from h2load import h2load_version
from servers import ROOT, Failed

USUAL_ROUNDS = 5


def parser(name, description, check):
    """A parser of the options that all have."""
    made = argparse.ArgumentParser(prog=f"bench-{name}", description=description)
    made.add_argument("--rounds", type=positive, default=USUAL_ROUNDS, metavar="N",
        help=f"how often to measure everything, {USUAL_ROUNDS} if not given")
    json_file = bench_file(f"{name}.json")
    made.add_argument("--json", type=pathlib.Path, default=json_file, metavar="FILE",
        help=f"where to write all numbers, bench/{name}.json in cargo's target folder if not given")
    made.add_argument("--readme", metavar="FILE",
        help=f"a file whose section '{name}' to replace with the tables, unless a part was chosen")
    made.add_argument("--check", action="store_true", help=check)
    return made


def run(name, arguments, chosen, measure, explained, shortfalls):
    """Measures, prints what was found, and writes it where the options say.

    `chosen` are the options, as text, by which only a part is measured, or something else: that does
    not replace what the file has of the whole. `explained` makes text of what `measure` returns, and
    `shortfalls` says what `--check` has against it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    if arguments.readme:
        # Rather now than after some minutes.
        report.around_section(arguments.readme, name)
    try:
        version = h2load_version()
        found = measure(arguments)
    except Failed as failed:
        sys.exit(f"bench-{name}: {failed}")
    rounds = [f"--rounds {arguments.rounds}"] if arguments.rounds != USUAL_ROUNDS else []
    command = " ".join([f"just bench-{name}", *rounds, *chosen])
    text = explained(found, f"{report.machine()}; {version}, on the same machine; `{command}`.")
    print(text)
    everything = {"machine": report.machine(), "h2load": version, "command": command, **found}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    if arguments.readme and chosen:
        print(f"{arguments.readme} stays as it is: this was with {' '.join(chosen)}", file=sys.stderr)
    elif arguments.readme:
        report.replace_section(arguments.readme, name, text)
    if arguments.check and (found := list(shortfalls(found))):
        sys.exit("\n".join(found))


def program(text):
    path = pathlib.Path(text)
    if not os.access(path, os.X_OK) or path.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is not a program")
    return str(path.resolve())


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a number of 1 or more")
    return int(text)


def bench_file(name):
    """Where a bench writes its numbers: in cargo's target folder."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / "bench" / name


def stop(number, _):
    """Ends the program, and on the way out the servers and h2load."""
    sys.exit(128 + number)
