"""h2load as a client of gRPC: what it sends, how it is run, and what it says."""

import argparse
import dataclasses
import re
import resource
import shutil
import subprocess

from servers import Failed

HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]

CONTROLLER = "/controller.Controller"

# A background with less than this share of the calls that it should have is none.
KEPT_SHARE = 0.95

# The longest that h2load may take before it counts as stuck.
STUCK_SECONDS = 60


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
    output = run_h2load(server, f"{CONTROLLER}/Start", body, Shape(1, 1), ["-n", "1"])
    if numbers_of(output)["data"] <= 5:
        raise Failed(f"the {server.name} did not start the function")


def start_instance_with_address(server, function, folder):
    """Starts an instance of the function that has an address of its own."""
    body = write_body(folder, "start", function_id(function))
    output = run_h2load(server, "/worker.Worker/Start", body, Shape(1, 1), ["-n", "1"])
    if numbers_of(output)["data"] <= 5:
        raise Failed(f"the {server.name} did not start the function")


def h2load_command(server, method, body, shape, extra):
    command = ["h2load", "-t", "1", "-c", str(shape.connections), "-m", str(shape.streams)]
    command += [*extra, "-d", str(body), *HEADERS]
    return [*command, f"{server.scheme}://{server.address}{method}"]


def run_h2load(server, method, body, shape, extra):
    """Lets h2load send the body again and again, and returns what it printed."""
    command = h2load_command(server, method, body, shape, extra)
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
    found = numbers_of(run_h2load(server, server.method, body, shape, extra))
    where = f"{server.name}, {shape}, {body.name}"
    bad = {name: found[name] for name in ("failed", "errored", "timeout") if found[name]}
    if bad or found["succeeded"] != found["done"]:
        raise Failed(f"{where}: of {found['done']} calls {found['succeeded']} succeeded: {bad}")
    # In a run of some seconds' length, calls that were started may be cut off.
    least, most = (found[count] * server.answer_bytes for count in ("done", "started"))
    if not least <= found["data"] <= most:
        expected = f"{least}" if least == most else f"{least} to {most}"
        raise Failed(
            f"{where}: {found['done']} answers hold {found['data']} bytes, expected {expected}"
        )
    return found["done"], found["rate"]


class Background:
    """Calls at a steady rate for some seconds, in which the body of the `with` has to be done. A
    rate of 0 is none.

    It stands for clients on other machines, so it takes the CPU only when no other process wants it. It
    still has to keep its rate."""

    # Each connection sends what is due every 10 ms, beginning when it is opened. They are opened one
    # after the other over such a time: together they send all the time, not 10 ms' worth at once.
    SHAPE = Shape(50, 16)
    OPENING = ["--rate", "5", "--rate-period", "1ms"]
    LEAST_PRIORITY = ["chrt", "--idle", "0"]

    def __init__(self, server, body, rate, seconds):
        each = round(rate / self.SHAPE.connections)
        self.wanted = each * self.SHAPE.connections
        extra = ["-n", str(self.wanted * seconds), f"--rps={each}", *self.OPENING]
        self.command = self.LEAST_PRIORITY + h2load_command(server, server.method, body, self.SHAPE, extra)
        # How many there were, in a second.
        self.rate = 0.0

    def __enter__(self):
        if self.wanted:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8"
            )
        return self

    def __exit__(self, kind, *_):
        if not self.wanted:
            return
        over = self.process.poll() is not None
        if kind:
            self.process.kill()
        output, _ = self.process.communicate()
        if kind:
            return
        if over:
            raise Failed("h2load ended before what it is the background of")
        self.rate = numbers_of(output)["rate"]
        if self.rate < KEPT_SHARE * self.wanted:
            raise Failed(f"h2load sent {self.rate:.0f} calls/s, expected {self.wanted}")


def children_cpu_seconds():
    """The CPU time of all runs of h2load; the servers only count when they have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
