#!/usr/bin/env python3
"""Measures the worker against a server that simulates nothing; `just bench-server` runs this.

    server.py HYPERFAKE FLOOR_SERVER [options]

HYPERFAKE is the worker's program, FLOOR_SERVER the one that `benches/floor_server.rs` becomes. Both
serve the whole time, and the client, h2load, calls one or the other: in each round of a shape both
are measured, one right after the other, and which comes first changes from round to round. So what
slows the machine down for a while slows both, and the ratio of the two is worth more than either.

The worker predicts with a model but waits for nothing (`--time-scale 0`), and both answer with as
many bytes. Each answer is checked by its size, because h2load does not look at gRPC's status.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

# Nothing but sources belongs into this folder.
sys.dont_write_bytecode = True
import report

ROOT = pathlib.Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
# The sample model, but with the floor's answer: its own setting is to echo the request.
MODEL = [f"{ROOT}/models/hyperfaas-echo.onnx?response=random:10", "hyperfaas-echo"]
HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]

# gRPC's 5 bytes and a CallResponse: 10 bytes in `data` and an instance's id of 12, with 2 bytes
# before the data and 4 before the id.
ANSWER_BYTES = 5 + (2 + 10) + (4 + 12)
BODIES = {"small": 0, "64 KiB": 64 * 1024}
CONNECTIONS = (1, 4, 32)
STREAMS = (1, 16, 64)

# How long h2load is to take for each number, and for the percentiles: these come from runs of their
# own, because the log that they need takes h2load a system call for each request.
SAMPLE_SECONDS = 1.0
QUICK_SECONDS = 0.3
LATENCY_SHARE = 0.5
CALIBRATION = "300ms"
# The longest that h2load may take before it counts as stuck.
STUCK_SECONDS = 60
STARTUP_SECONDS = 15

# h2load has one thread; this busy, it is the limit.
CLIENT_BUSY = 0.9

# What `--check` asks for.
EXPECTED_SHAPE_RATIO = 0.90
LEAST_RATIO = 0.80


@dataclasses.dataclass(frozen=True, order=True)
class Shape:
    """How many connections there are, and how many calls at once on each."""

    connections: int
    streams: int

    def __str__(self):
        return f"{self.connections}×{self.streams}"

    @classmethod
    def parse(cls, text):
        found = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text.strip())
        if not found:
            raise argparse.ArgumentTypeError(f"found '{text}', expected CONNECTIONS×STREAMS")
        return cls(int(found[1]), int(found[2]))

    def calls_for(self, seconds, rate):
        """About as many calls as take this long: the same number on each connection, and several
        on each stream."""
        each = max(round(seconds * rate / self.connections), 4 * self.streams)
        return each * self.connections


# The one that a change to the way of a call is judged by.
CHECKED_SHAPE = Shape(4, 16)


class Failed(Exception):
    """The measurement has no result, for this reason."""


class Server:
    """A server's process."""

    def __init__(self, name, process, address, log):
        self.name = name
        self.process = process
        self.address = address
        self.log = log

    def check(self):
        """Fails when the process has ended."""
        if self.process.poll() is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = lines[-1] if lines else "it said nothing"
            raise Failed(f"the {self.name} ended with {self.process.returncode}: {last}")

    def cpu_seconds(self):
        """The CPU time that it has used."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        # The name before the last parenthesis may hold anything; utime and stime are the 12th and
        # 13th after it.
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        """The memory that it has in use."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


@contextlib.contextmanager
def serving(name, command, ports, folder):
    """Runs a server whose first port is for calls, until the end of the `with`."""
    log = folder / f"{name}.log"
    # An option that somebody has set for their own worker must not change this one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HYPERFAKE_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        server = Server(name, process, f"{HOST}:{ports[0]}", log)
        for port in ports:
            wait_for(server, port)
        yield server
    finally:
        process.kill()
        process.wait()


def wait_for(server, port):
    """Returns when the server takes connections on the port."""
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        server.check()
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise Failed(f"the {server.name} does not serve after {STARTUP_SECONDS} s")
        time.sleep(0.05)


def free_ports(count):
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as sockets:
        opened = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in opened]


def worker_command(program, port, database_port):
    """A worker without a limit of calls at once, and on which an instance is ready at once, never
    goes down, and takes no time for a call."""
    address = ["--address", f"{HOST}:{port}"]
    database = ["--database-type", "embedded", "--database-address", f"http://{HOST}:{database_port}"]
    instances = ["--cold-start", "0s", "--idle-timeout", "1h"]
    calls = ["--max-rpcs", "0", "--time-scale", "0"]
    model = ["--model", *MODEL, "--log-level", "warn"]
    return [program, "server", *address, *database, *instances, *calls, *model]


def register(database_port, image):
    """Registers a function and returns its id."""
    body = json.dumps({"image_tag": image, "config": {}}).encode()
    request = urllib.request.Request(f"http://{HOST}:{database_port}", body, method="POST")
    # A proxy of the environment is for other things.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=STARTUP_SECONDS) as answer:
            return json.load(answer)["function_id"]
    except (OSError, ValueError, KeyError) as error:
        raise Failed(f"the function could not be registered: {error}") from error


def field(number, content):
    """A field of a protobuf message that holds bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    """A number as protobuf writes it: seven bits a byte, the lowest first."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def frame(message):
    """A message as gRPC sends it: not compressed, its length, and itself."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def function_id(function):
    return field(1, function.encode())


def call_request(function, data_bytes):
    data = field(3, bytes(data_bytes)) if data_bytes else b""
    return data + field(4, function_id(function))


def write_body(folder, name, message):
    """Writes a request for h2load to send."""
    path = folder / name
    path.write_bytes(frame(message))
    return path


def start_instance(server, function, folder):
    """Starts an instance of the function; `h2load` is the one gRPC client that there is."""
    body = write_body(folder, "start", function_id(function))
    output = run_h2load(server, "Start", body, Shape(1, 1), ["-n", "1"])
    if numbers_of(output)["data"] <= 5:
        raise Failed(f"the {server.name} did not start the function")


def run_h2load(server, method, body, shape, extra):
    """Lets h2load send the body again and again, and returns what it printed."""
    command = ["h2load", "-t", "1", "-c", str(shape.connections), "-m", str(shape.streams)]
    command += [*extra, "-d", str(body), *HEADERS]
    command += [f"http://{server.address}/controller.Controller/{method}"]
    server.check()
    try:
        run = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=STUCK_SECONDS,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{server.name}, {shape}: h2load took {STUCK_SECONDS} s") from error
    server.check()
    if run.returncode != 0:
        last = (run.stdout.strip().splitlines() or ["nothing"])[-1]
        raise Failed(f"{server.name}, {shape}: h2load ended with {run.returncode}: {last}")
    return run.stdout


def numbers_of(output):
    """The numbers that h2load printed about a run."""
    rate = re.search(r"^finished in \S+, ([\d.]+) req/s", output, re.MULTILINE)
    names = ("started", "done", "succeeded", "failed", "errored", "timeout")
    requests = re.search(
        r"^requests: \d+ total, " + ", ".join(rf"(\d+) {name}" for name in names),
        output,
        re.MULTILINE,
    )
    data = re.search(r"\((\d+)\) data$", output, re.MULTILINE)
    if not (rate and requests and data):
        raise Failed("h2load printed something else than expected:\n" + output)
    counts = {name: int(count) for name, count in zip(names, requests.groups())}
    return {"rate": float(rate[1]), "data": int(data[1]), **counts}


def call(server, shape, body, extra):
    """Makes calls, checks that each was answered, and returns how many there were and how many in
    a second."""
    found = numbers_of(run_h2load(server, "Call", body, shape, extra))
    where = f"{server.name}, {shape}, {body.name}"
    bad = {name: found[name] for name in ("failed", "errored", "timeout") if found[name]}
    if bad or found["succeeded"] != found["done"]:
        raise Failed(f"{where}: of {found['done']} calls {found['succeeded']} succeeded: {bad}")
    # In a run of some seconds' length, calls that were started may be cut off.
    least, most = (found[count] * ANSWER_BYTES for count in ("done", "started"))
    if not least <= found["data"] <= most:
        expected = f"{least}" if least == most else f"{least} to {most}"
        raise Failed(
            f"{where}: {found['done']} answers hold {found['data']} bytes, expected {expected}"
        )
    return found["done"], found["rate"]


def calibrate(servers, shape, body, seconds):
    """How many calls the faster of the servers answers in so many seconds. Warms them up, too."""
    rates = [call(server, shape, body, ["-D", CALIBRATION])[1] for server in servers]
    return shape.calls_for(seconds, max(rates))


def measure_throughput(server, shape, body, calls):
    """One run of so many calls: how fast they were, and what they took of server and client."""
    server_before, client_before = server.cpu_seconds(), children_cpu_seconds()
    calls, rate = call(server, shape, body, ["-n", str(calls)])
    server_cpu = server.cpu_seconds() - server_before
    client_cpu = children_cpu_seconds() - client_before
    client_busy = client_cpu * rate / calls
    return {
        "calls": calls,
        "calls_per_second": rate,
        "cpu_s": server_cpu,
        "cpu_s_per_million": server_cpu / calls * 1e6,
        "rss_bytes": server.resident_bytes(),
        "client_cpu_s": client_cpu,
        "client_busy": client_busy,
        "client_was_limit": client_cpu > server_cpu or client_busy >= CLIENT_BUSY,
    }


def children_cpu_seconds():
    """The CPU time of all runs of h2load; the servers only count when they have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_latency(server, shape, body, calls):
    """One run of so many calls: percentiles of the time from a request to the end of its answer."""
    log = body.with_name("h2load.log")
    log.unlink(missing_ok=True)
    calls, _ = call(server, shape, body, ["-n", str(calls), f"--log-file={log}"])
    # Each line is: start in us, HTTP status, duration in us.
    durations = sorted(int(line.split()[2]) for line in log.open(encoding="ascii"))
    log.unlink()
    if len(durations) != calls:
        raise Failed(f"h2load logged {len(durations)} of {calls} calls")
    return {"p50_us": percentile(durations, 0.50), "p99_us": percentile(durations, 0.99)}


def percentile(ordered, share):
    """The least of the values that this share of them does not exceed."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def measure_shape(floor, worker, shape, body, rounds, seconds):
    """All rounds of one shape with one body."""
    calls = calibrate((floor, worker), shape, body, seconds)
    latency_calls = shape.calls_for(LATENCY_SHARE, calls)
    samples = []
    for number in range(rounds):
        order = (floor, worker) if number % 2 == 0 else (worker, floor)
        sample = {"first": order[0].name}
        for server in order:
            sample[server.name] = measure_throughput(server, shape, body, calls)
        for server in order:
            sample[server.name].update(measure_latency(server, shape, body, latency_calls))
        samples.append(sample)
    return row(shape, body.name, samples)


def row(shape, body, samples):
    """The medians over the rounds of a shape."""
    ratios = [
        sample["worker"]["calls_per_second"] / sample["floor"]["calls_per_second"]
        for sample in samples
    ]
    servers = {
        name: {
            key: statistics.median(sample[name][key] for sample in samples)
            for key in samples[0][name]
        }
        for name in ("floor", "worker")
    }
    for numbers in servers.values():
        # The median of truth values: of most rounds.
        numbers["client_was_limit"] = numbers["client_was_limit"] > 0.5
    return {
        "connections": shape.connections,
        "streams": shape.streams,
        "body": body,
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
        **servers,
        "samples": samples,
    }


def shape_of(measured):
    return Shape(measured["connections"], measured["streams"])


COLUMNS = [
    "connections × streams",
    "body",
    "floor, calls/s",
    "worker, calls/s",
    "worker / floor (min–max)",
    "floor p50 / p99, ms",
    "worker p50 / p99, ms",
    "floor CPU, s per million",
    "worker CPU, s per million",
    "floor RSS, MB",
    "worker RSS, MB",
    "client was the limit for",
]
LEFT_ALIGNED = 2


def table(rows):
    """The rows as a Markdown table."""
    rule = ["---"] * LEFT_ALIGNED + ["---:"] * (len(COLUMNS) - LEFT_ALIGNED)
    lines = [COLUMNS, rule, *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(measured):
    floor, worker, ratio = measured["floor"], measured["worker"], measured["ratio"]
    both = (floor, worker)
    limited = [name for name in ("floor", "worker") if measured[name]["client_was_limit"]]
    return [
        str(shape_of(measured)),
        measured["body"],
        *(f"{server['calls_per_second']:,.0f}" for server in both),
        f"**{ratio['median']:.2f}** ({ratio['min']:.2f}–{ratio['max']:.2f})",
        *(f"{milliseconds(server['p50_us'])} / {milliseconds(server['p99_us'])}" for server in both),
        *(f"{server['cpu_s_per_million']:.1f}" for server in both),
        *(f"{server['rss_bytes'] / 1e6:.1f}" for server in both),
        " and ".join(limited) or "–",
    ]


def milliseconds(us):
    """Three figures, or two decimals where those would be more."""
    return f"{us / 1000:.2f}" if us >= 1000 else f"{us / 1000:.3f}"


def explained(rows, command, version):
    """The table, and what one has to know to read it."""
    rounds = len(rows[0]["samples"])
    return f"""\
{report.machine()}; {version} with one thread, on the same machine; `{command}`.

{table(rows)}

Every number is the median of {rounds} rounds; the ratio is the median of the ratios of the two runs
in each round, beside it the smallest and the largest. The percentiles come from runs of their own.
RSS is the memory in use after a run: what the shapes above it left is included. The client was the
limit where h2load used more CPU time than the server, or its thread was busy for {CLIENT_BUSY:.0%} of
the run, in most rounds: there the calls/s say more about h2load than about the server, and the CPU
time for each million calls is the number to compare."""


def shortfalls(rows):
    """What `--check` has to say against the rows."""
    for measured in rows:
        shape, ratio = shape_of(measured), measured["ratio"]["median"]
        checked = shape == CHECKED_SHAPE and measured["body"] == "small"
        least = EXPECTED_SHAPE_RATIO if checked else LEAST_RATIO
        if ratio < least:
            body = measured["body"]
            yield f"{shape}, {body}: the ratio is {ratio:.3f}, expected at least {least:.2f}"


def measure(arguments):
    """Runs both servers and measures every shape. Says on standard error how far it is."""
    port, database_port, floor_port = free_ports(3)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = [arguments.floor_server, f"{HOST}:{floor_port}"]
        floor = stack.enter_context(serving("floor", command, [floor_port], folder))
        command = worker_command(arguments.hyperfake, port, database_port)
        ports = [port, database_port]
        worker = stack.enter_context(serving("worker", command, ports, folder))
        function = register(database_port, MODEL[1])
        start_instance(worker, function, folder)
        rows = []
        for name in arguments.bodies:
            body = write_body(folder, name, call_request(function, BODIES[name]))
            for shape in arguments.shapes:
                measured = measure_shape(
                    floor, worker, shape, body, arguments.rounds, arguments.seconds
                )
                rows.append(measured)
                print(f"{shape}, {name}: {measured['ratio']['median']:.2f}", file=sys.stderr)
        return rows


def h2load_version():
    """h2load's name and version. Fails when it is not installed or too old."""
    if not shutil.which("h2load"):
        raise Failed("h2load is not installed; Debian has it in nghttp2-client")

    def printed(option):
        run = subprocess.run(["h2load", option], check=True, stdout=subprocess.PIPE, encoding="utf-8")
        return run.stdout

    if "--log-file" not in printed("--help"):
        raise Failed("this h2load is too old: it has no --log-file")
    return printed("--version").strip()


def program(text):
    path = pathlib.Path(text)
    if not os.access(path, os.X_OK) or path.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is not a program")
    return str(path.resolve())


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a number of 1 or more")
    return int(text)


def shapes(text):
    return sorted({Shape.parse(one) for one in text.split(",")})


def default_json():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / "bench" / "server.json"


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("hyperfake", type=program, metavar="HYPERFAKE", help="the worker's program")
    add("floor_server", type=program, metavar="FLOOR_SERVER", help="the program to compare it with")
    add("--rounds", type=positive, default=5, metavar="N", help="pairs of runs, 5 if not given")
    add("--quick", action="store_true", help=f"only {CHECKED_SHAPE} with small bodies, and shorter")
    add("--shape", type=shapes, metavar="C×S,…", help="only these connections × streams")
    add("--json", type=pathlib.Path, default=default_json(), metavar="FILE",
        help="where to write all numbers, bench/server.json in cargo's target folder if not given")
    add("--readme", metavar="FILE", help="a file whose section 'server' to replace with the table")
    add("--check", action="store_true",
        help=f"fail when a ratio is below {LEAST_RATIO:.2f}, or that of {CHECKED_SHAPE} with small "
             f"bodies below {EXPECTED_SHAPE_RATIO:.2f}")
    arguments = parser.parse_args()
    if arguments.quick and arguments.shape:
        parser.error("--quick chooses the shape; --shape does not go with it")
    everything = [Shape(connections, streams) for connections in CONNECTIONS for streams in STREAMS]
    arguments.shapes = [CHECKED_SHAPE] if arguments.quick else arguments.shape or everything
    arguments.bodies = ["small"] if arguments.quick else list(BODIES)
    arguments.seconds = QUICK_SECONDS if arguments.quick else SAMPLE_SECONDS
    if arguments.check and CHECKED_SHAPE not in arguments.shapes:
        parser.error(f"--check needs the shape {CHECKED_SHAPE}")
    return arguments


def command_of(arguments):
    """The command that prints the same table."""
    command = "just bench-server"
    if arguments.rounds != 5:
        command += f" --rounds {arguments.rounds}"
    if arguments.quick:
        command += " --quick"
    if arguments.shape:
        command += f" --shape {','.join(map(str, arguments.shape))}"
    return command


def stop(number, _):
    """Ends the program, and on the way out the servers and h2load."""
    sys.exit(128 + number)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    arguments = read_arguments()
    if arguments.readme:
        # Rather now than after some minutes.
        report.around_section(arguments.readme, "server")
    try:
        version = h2load_version()
        rows = measure(arguments)
    except Failed as failed:
        sys.exit(f"bench-server: {failed}")
    command = command_of(arguments)
    text = explained(rows, command, version)
    print(text)
    everything = {"machine": report.machine(), "h2load": version, "command": command, "rows": rows}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    if arguments.readme:
        report.replace_section(arguments.readme, "server", text)
    if arguments.check:
        found = list(shortfalls(rows))
        if found:
            sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
