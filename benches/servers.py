"""The servers that are measured: their processes, and the functions on them."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
STARTUP_SECONDS = 15


class Failed(Exception):
    """The measurement has no result, for this reason."""


# gRPC's 5 bytes and a CallResponse: 10 bytes in `data` and an instance's id of 12, with 2 bytes
# before the data and 4 before the id.
CALL_ANSWER_BYTES = 5 + (2 + 10) + (4 + 12)


class Server:
    """A server's process, and the method that is called there."""

    def __init__(self, name, process, address, log, scheme):
        self.name = name
        self.process = process
        self.address = address
        self.log = log
        self.scheme = scheme
        self.method = "/controller.Controller/Call"
        self.answer_bytes = CALL_ANSWER_BYTES

    def at(self, name, address, method, answer_bytes):
        """The same process at another address, where another method is called."""
        other = Server(name, self.process, address, self.log, self.scheme)
        other.method, other.answer_bytes = method, answer_bytes
        return other

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
def serving(name, command, ports, folder, scheme="http"):
    """Runs a server whose first port is for calls, until the end of the `with`."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        server = Server(name, process, f"{HOST}:{ports[0]}", log, scheme)
        for port in ports:
            wait_for(server, port)
        yield server
    finally:
        process.kill()
        process.wait()


def environment():
    """This one, without the options of a worker that it may have."""
    return {k: v for k, v in os.environ.items() if not k.startswith("HYPERFAKE_")}


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
    """Ports that are free."""
    with contextlib.ExitStack() as sockets:
        opened = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in opened]


def worker_command(program, port, database_port, options):
    """A worker without a limit of calls at once, on which an instance is ready at once and never
    goes down."""
    address = ["--address", f"{HOST}:{port}"]
    database = ["--database-type", "embedded", "--database-address", f"http://{HOST}:{database_port}"]
    instances = ["--cold-start", "0s", "--idle-timeout", "1h"]
    calls = ["--max-rpcs", "0", "--log-level", "warn"]
    return [program, "server", *address, *database, *instances, *calls, *options]


def certificate(folder):
    """Makes a certificate for this machine, and returns its file and that of its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    name = ["-subj", "/CN=bench", "-addext", f"subjectAltName=IP:{HOST}", "-days", "2"]
    command = ["openssl", "req", "-x509", *curve, *name, "-out", cert, "-keyout", key]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(f"openssl could not make a certificate: {error}") from error
    return str(cert), str(key)


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
