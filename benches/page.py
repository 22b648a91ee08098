#!/usr/bin/env python3
"""Measures what the live page costs the worker that shows it; `just bench-page` runs this.

    page.py HYPERFAKE [options]

Three workers serve the whole time: one with `--http off`, one with a page that has no readers, and one whose page
is read as two browsers do it. (Browsers themselves draw on the same cores, and h2load cannot keep its rate then.) In
each round they take turns, as in server.py: h2load calls each at half of what the first one gets through, and
`hyperfake load` says beside it how much longer than predicted calls took. h2load and the readers stand for other
machines: they take the CPU only when no other process wants it.

Then a fleet of 1,000 workers with 10 functions each is asked for its metrics.
"""

import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

# Nothing but sources belongs into this folder.
sys.dont_write_bytecode = True
import bench
from h2load import Background, Shape, call, call_request, start_instance, write_body
from servers import HOST, Failed, free_ports, register, serving, worker_command

SHAPE = Shape(4, 16)
CALIBRATION = ["-D", "2"]
# The share of the capacity at which the workers are compared, in percent.
SHARE = 50
ROUND_SECONDS = 7
PROBE = ["--rate", "300", "--duration", "4s", "--connections", "1", "--poisson"]
KINDS = ("off", "on", "read by two")
READER = "--reader"
RUN_TIME_NS = 1_000_000

FLEET = 1000
FLEET_FUNCTIONS = 10
# Below those that the system gives to clients.
FLEET_PORT = 21000

# What `--check` asks for.
LEAST_RATE_RATIO = 0.99
MOST_FLEET_SECONDS = 0.1


@contextlib.contextmanager
def read_as_a_browser(address):
    """Reads what the page at the address reads, in a process of its own, until the end of the `with`."""
    command = ["chrt", "--idle", "0", sys.executable, __file__, READER, address]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield
        if process.poll() is not None:
            raise Failed("a reader of the page has ended")
    finally:
        process.kill()
        process.wait()


def read_page(address):
    """The stream of snapshots, and behind each second one the lists that the page then asks for."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    get(address, "/")
    get(address, "/api/v1/state")
    with direct.open(f"http://{address}/api/v1/stream", timeout=60) as stream:
        snapshots = 0
        for line in stream:
            if line.startswith(b"data:"):
                snapshots += 1
                if snapshots % 2 == 0:
                    for path in ("calls", "functions", "faults"):
                        get(address, f"/api/v1/{path}")


def get(address, path):
    """What the page's port answers, and in how many seconds."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.monotonic()
    with direct.open(f"http://{address}{path}", timeout=60) as answer:
        return answer.read().decode(), time.monotonic() - began


def probe(hyperfake, address, database_port, seed):
    """How much longer than predicted calls took, in nanoseconds: the median."""
    command = [hyperfake, "load", "--json", *PROBE, "--seed", str(seed), "--functions", "probed"]
    command += ["--address", address, "--database-address", f"http://{HOST}:{database_port}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    if not done.stdout:
        raise Failed(f"hyperfake load: {done.stderr.strip()}")
    found = json.loads(done.stdout)["functions"][0]
    if found["errors"] or found["early"]:
        raise Failed(f"{found['errors']}, {found['early']} early")
    return found["timing_error_ns"]["p50"]


class Looked:
    """A worker of one of the kinds, and what was measured of it."""

    def __init__(self, stack, hyperfake, kind, models, folder):
        self.kind = kind
        ports = free_ports(3)
        self.database_port, self.page = ports[1], f"{HOST}:{ports[2]}"
        http = "off" if kind == "off" else self.page
        command = worker_command(hyperfake, ports[0], ports[1], [*models, "--http", http])
        ports = ports[:2] if kind == "off" else ports
        self.worker = stack.enter_context(serving(kind.replace(" ", "-"), command, ports, folder))
        time.sleep(0.5)
        self.idle_bytes = self.worker.resident_bytes()
        function = register(self.database_port, "background")
        start_instance(self.worker, function, folder)
        self.body = write_body(folder, f"body-{ports[0]}", call_request(function, 0))
        self.rates, self.errors, self.cpu = [], [], []

    def measure(self, hyperfake, rate, seed):
        cpu, began = self.worker.cpu_seconds(), time.monotonic()
        with Background(self.worker, self.body, rate, ROUND_SECONDS) as background:
            self.errors.append(probe(hyperfake, self.worker.address, self.database_port, seed))
        seconds = time.monotonic() - began
        self.rates.append(background.rate)
        self.cpu.append((self.worker.cpu_seconds() - cpu) / (background.rate * seconds) * 1e6)


def measure_fleet(arguments, models, folder):
    """In how many seconds a fleet's metrics are answered."""
    with contextlib.ExitStack() as stack:
        database_port, page = free_ports(2)
        options = [*models, "--fleet", str(FLEET), "--http", f"{HOST}:{page}"]
        command = worker_command(arguments.hyperfake, FLEET_PORT, database_port, options)
        fleet = stack.enter_context(serving("fleet", command, [FLEET_PORT, database_port, page], folder))
        functions = [register(database_port, "probed") for _ in range(FLEET_FUNCTIONS)]
        bodies = []
        for function in functions:
            bodies.append(write_body(folder, f"fleet-{function}", call_request(function, 0)))
        for number in range(FLEET):
            worker = fleet.at("fleet", f"{HOST}:{FLEET_PORT + number}", fleet.method, fleet.answer_bytes)
            for function, body in zip(functions, bodies):
                start_instance(worker, function, folder)
                call(worker, Shape(1, 1), body, ["-n", "1"])
            if number % 100 == 0:
                print(f"fleet: {number} of {FLEET}", file=sys.stderr)
        time.sleep(2)
        times, text = [], ""
        for _ in range(2 * arguments.rounds + 1):
            # What was made a moment ago would be answered with again.
            time.sleep(1.5)
            text, seconds = get(f"{HOST}:{page}", "/metrics")
            times.append(seconds)
        series = sum(1 for line in text.splitlines() if line.startswith("hyperfake_calls_total{"))
        if series < FLEET * FLEET_FUNCTIONS:
            raise Failed(f"the metrics have {series} series of calls")
        return {"seconds": statistics.median(times), "bytes": len(text), "series": series}


def measure(arguments):
    """Everything. Says on standard error how far it is."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        models = []
        for name, runtime in (("background", 0), ("probed", RUN_TIME_NS)):
            path = folder / f"{name}.json"
            model = {"kind": "constant", "runtime_ns": runtime, "cpu_cores": 0.5, "ram_bytes": 8_000_000}
            path.write_text(json.dumps(model), encoding="utf-8")
            models += ["--model", str(path), name]
        fleet = None if arguments.quick else measure_fleet(arguments, models, folder)
        looked = [Looked(stack, arguments.hyperfake, kind, models, folder) for kind in KINDS]
        capacities = [[] for _ in looked]
        for _ in range(arguments.rounds):
            for one, rates in zip(looked, capacities):
                rates.append(call(one.worker, SHAPE, one.body, CALIBRATION)[1])
        capacity = [statistics.median(rates) for rates in capacities]
        ratio = statistics.median(on / off for off, on in zip(*capacities[:2]))
        print(f"capacity {capacity[0]:,.0f} calls/s", file=sys.stderr)
        for _ in range(2):
            stack.enter_context(read_as_a_browser(looked[2].page))
        time.sleep(3)
        for seed in range(arguments.rounds):
            for turn in range(len(looked)):
                one = looked[(seed + turn) % len(looked)]
                one.measure(arguments.hyperfake, capacity[0] * SHARE / 100, seed)
            print(f"round {seed + 1}", file=sys.stderr)
        rows = [{
            "page": one.kind,
            "capacity": rate,
            "calls_per_second": statistics.median(one.rates),
            "timing_error_ns": statistics.median(one.errors),
            "cpu_s_per_million": statistics.median(one.cpu),
            "idle_bytes": one.idle_bytes,
        } for one, rate in zip(looked, capacity)]
        rates = [statistics.median(b / a for a, b in zip(looked[0].rates, one.rates)) for one in looked]
        return {"rounds": arguments.rounds, "rows": rows, "rate_ratios": rates, "capacity_ratio": ratio,
            "fleet": fleet}


def explained(found, head):
    lines = [head, "",
        "| the page | gets through, calls/s | calls/s at half of the load | of those with `--http off` | longer than predicted, us | CPU, s per million | idle, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row, ratio in zip(found["rows"], found["rate_ratios"]):
        lines.append(
            f"| {row['page']} | {row['capacity']:,.0f} | {row['calls_per_second']:,.0f} | **{ratio:.3f}** | "
            f"{row['timing_error_ns'] / 1000:.0f} | {row['cpu_s_per_million']:.1f} | {row['idle_bytes'] / 1e6:.1f} |")
    lines += ["",
        f"With a page that has no readers the worker gets {found['capacity_ratio']:.2f} times as many calls through as",
        "without (4×16, median of the ratios of the rounds): it has a record of each call to count. CPU is that of the worker,",
        "with what answers the readers in it. Medians of "
        f"{found['rounds']} rounds."]
    if found["fleet"]:
        fleet = found["fleet"]
        lines += ["",
            f"The metrics of {FLEET:,} workers with {FLEET_FUNCTIONS} functions each, {fleet['series']:,} series of calls in",
            f"{fleet['bytes'] / 1e6:.1f} MB, are answered in {fleet['seconds'] * 1000:.0f} ms."]
    return "\n".join(lines)


def shortfalls(found):
    ratio = found["rate_ratios"][2]
    if ratio < LEAST_RATE_RATIO:
        yield f"read by two: {ratio:.3f} of the calls/s, expected at least {LEAST_RATE_RATIO}"
    if found["fleet"] and found["fleet"]["seconds"] > MOST_FLEET_SECONDS:
        yield f"a fleet's metrics: {found['fleet']['seconds']:.3f} s, expected at most {MOST_FLEET_SECONDS}"


if __name__ == "__main__":
    if sys.argv[1:2] == [READER]:
        read_page(sys.argv[2])
    parser = bench.parser(
        "page", "Measures what the live page costs; `just bench-page` runs this.",
        f"fail when two readers leave less than {LEAST_RATE_RATIO} of the calls/s, or a fleet's "
        f"metrics take longer than {MOST_FLEET_SECONDS * 1000:.0f} ms",
    )
    parser.add_argument("hyperfake", type=bench.program, metavar="HYPERFAKE", help="the worker's program")
    parser.add_argument("--quick", action="store_true", help="without the fleet")
    options = parser.parse_args()
    bench.run("page", options, ["--quick"] if options.quick else [], measure, explained, shortfalls)
