# SPDX-License-Identifier: Apache-2.0
"""Running a monitor and talking to it: no test waits without a limit."""
import json
import os
import signal
import socket
import subprocess
import time

TIMEOUT = 20  # seconds that anything may take at most
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What memory may grow by where nothing is kept; the sanitizers keep what is freed.
SLACK_KIB = 65536 if os.environ.get("VARIANT") == "asan" else 1024

# How the fake ends when a test told it nonsense: at once, without cleaning up.
GIVES_UP = (98, 99)

NOT_STARTED, RUNNING, PAUSED = "Not started", "Running", "Paused"


def binary():
    """The program under test."""
    variant = os.environ.get("VARIANT") or "release"
    return (os.environ.get("XENOLITH_BIN") or os.environ.get("XENOLITH") or
            os.path.join(TOP, "build", variant, "xenolith-fake"))


def wait_until(condition, what, timeout=TIMEOUT):
    """Poll until `condition()` is true, and return what it returned."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.005)


class Response:
    def __init__(self, head, body):
        self.head, self.body = head, body
        lines = head.decode("latin-1").split("\r\n")
        self.status_line = lines[0]
        self.status = int(lines[0].split(" ")[1])
        self.headers = dict(line.split(": ", 1) for line in lines[1:] if line)

    @property
    def json(self):
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)

    @property
    def fault(self):
        """The message of a 400, which has nothing else in it."""
        assert self.status == 400, self
        assert list(self.json) == ["fault_message"], self.body
        assert self.json["fault_message"], "empty fault_message"
        return self.json["fault_message"]

    def __repr__(self):
        return f"{self.head!r}{self.body!r}"


class Http:
    """A connection, byte by byte."""

    def __init__(self, path, timeout=TIMEOUT):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(self.buffer)
        self.buffer += data

    def response(self):
        """The next response; without a body unless it says how long that is."""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(rest) < length:
            self.buffer += self.sock.recv(65536)
            rest = self.buffer.partition(b"\r\n\r\n")[2]
        self.buffer = rest[length:]
        return Response(head + b"\r\n\r\n", rest[:length])

    def closed(self):
        """Whether the server closes the connection now, having sent nothing more."""
        try:
            self.buffer += self.sock.recv(65536)
        except ConnectionResetError:
            pass
        return self.buffer == b""

    @staticmethod
    def format(method, path, body=None, headers=()):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
        if isinstance(body, str):
            body = body.encode()
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines + ["", ""]).encode() + (body or b"")

    def request(self, method, path, body=None, headers=()):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.send(self.format(method, path, body, headers))
        return self.response()


def session_of(pid):
    """Everything that runs in the session that `pid` leads."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] not in "ZX":
            found.append(int(entry))
    return found


class Monitor:
    """One xenolith-fake with its socket, log and output in a directory of its own."""

    def __init__(self, directory, *args, guest=None, env=None, api=True, stdin=None,
                 stdout=None, wait=True, log=None):
        self.dir = str(directory)
        self.sock_path = self.path("api.sock")
        self.dump_path = self.path("dump.json")
        self.log_path = self.path("log")
        argv = [binary()]
        if api:
            argv += ["--api-sock", self.sock_path]
        self.run_dir = self.path("run")
        full = {**os.environ, "XENOLITH_FAKE_DUMP": self.dump_path,
                "XENOLITH_RUN_DIR": self.run_dir, **(env or {})}
        if guest is not None:
            full["XENOLITH_FAKE_GUEST"] = self.write("guest", guest)
        self.stdout_path = self.path("stdout")
        with open(self.stdout_path, "wb") as out, open(self.log_path, "wb") as err:
            self.process = subprocess.Popen(
                [*argv, *args], stdin=stdin if stdin is not None else subprocess.DEVNULL,
                stdout=stdout or out, stderr=log or err, env=full, start_new_session=True,
                cwd=self.dir)
        if api and wait:
            wait_until(self.serving, "the API socket")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)
        return self.path(name)

    def serving(self):
        """Whether it answers: then all that it opens is open."""
        assert self.process.poll() is None, f"ended: {self.process.returncode}: {self.log()}"
        try:
            return self.get("/version").status == 200
        except (FileNotFoundError, ConnectionError, EOFError):
            return False

    # ---- the API

    def request(self, method, path, body=None):
        with Http(self.sock_path) as http:
            return http.request(method, path, body)

    def get(self, path):
        return self.request("GET", path)

    def put(self, path, body):
        return self.request("PUT", path, body)

    def patch(self, path, body):
        return self.request("PATCH", path, body)

    def state(self):
        return self.get("/").json["state"]

    def boot_source(self, kernel, **more):
        return self.put("/boot-source", {"kernel_image_path": kernel, **more})

    def action(self, name):
        return self.put("/actions", {"action_type": name})

    def start(self, kernel, **more):
        """Boot, or fail the test."""
        response = self.boot_source(kernel, **more)
        assert response.status == 204, response
        response = self.action("InstanceStart")
        assert response.status == 204, response

    def set_state(self, state):
        response = self.patch("/vm", {"state": state})
        assert response.status == 204, response

    @staticmethod
    def let_prepare():
        """Do what a client that pauses does: the guest is prepared meanwhile."""
        time.sleep(0.1)

    def go_to(self, state, kernel):
        if state != NOT_STARTED:
            self.start(kernel)
        if state == PAUSED:
            self.set_state("Paused")

    # ---- the process

    def wait(self, timeout=TIMEOUT):
        """The exit status, as a shell tells it."""
        status = self.process.wait(timeout)
        return 128 - status if status < 0 else status

    def terminate(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stdout(self):
        with open(self.stdout_path, "rb") as f:
            return f.read()

    def dump(self):
        """What the fake hypervisor saw; it is written at the end."""
        with open(self.dump_path, encoding="utf-8") as f:
            return json.load(f)

    def status_kib(self, key):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))

    def fds(self):
        """Descriptors in use while one client is connected: when that one is served, those
        that hung up before are gone."""
        with Http(self.sock_path) as http:
            http.request("GET", "/version")
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def finish(self):
        """End it if it still runs; then it must have left nothing behind."""
        if self.process.poll() is None:
            status = self.terminate()
            assert status == 143, f"SIGTERM: exit status {status}: {self.log()}"
        for name in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion"):
            assert name not in self.log(), self.log()
        assert session_of(self.process.pid) == []
        assert not os.path.exists(self.sock_path), "the API socket is left"
        if os.path.isdir(self.run_dir) and self.process.returncode not in GIVES_UP:
            assert os.listdir(self.run_dir) == [], "the run directory is left"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
