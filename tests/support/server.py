"""The real binary and the mock provider as child processes of a test."""
import os
import re
import signal
import subprocess
import threading

import requests

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("NEREID_BUILD", os.path.join(ROOT, "build", "release"))
BINARY = os.environ.get("NEREID_BINARY", os.path.join(BUILD, "nereid"))
START_SECONDS = 60


class Child:
    """A process whose output is read on a thread, so that a test can wait for a line."""

    def __init__(self, command, env=None):
        self.command, self.env = [str(c) for c in command], env
        self.process, self.lines, self.more = None, [], threading.Condition()
        self.waited = False  # a test has seen how the process ended

    def spawn(self):
        self.lines, self.waited = [], False
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**os.environ, **(self.env or {})})
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        return self

    def _read(self, process):
        for line in process.stdout:
            with self.more:
                self.lines.append(line.rstrip("\n"))
                self.more.notify_all()
        with self.more:
            self.lines.append(None)
            self.more.notify_all()

    def wait_for_line(self, pattern, seconds=START_SECONDS):
        """the match of the first line that has `pattern`; fails when the process ends before"""
        seen = 0

        def found():
            nonlocal seen
            while seen < len(self.lines):
                line = self.lines[seen]
                seen += 1
                if line is None:
                    raise AssertionError(f"the process ended with {self.wait()} before it printed {pattern!r}:\n" + self.evidence())
                match = re.search(pattern, line)
                if match:
                    return match
            return None

        with self.more:
            match = self.more.wait_for(found, seconds)
        assert match, f"no line with {pattern!r} within {seconds} s:\n{self.evidence()}"
        return match

    def output(self):
        return "\n".join(line for line in self.lines if line is not None)

    def evidence(self):
        """the part of the output that says why a test failed: a sanitizer's report, or else the end"""
        text = self.output()
        report = re.search(r".*runtime error|.*(ERROR|WARNING): \w+Sanitizer", text)
        return text[report.start():report.start() + 8000] if report else text[-3000:]

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=30):
        code = self.process.wait(seconds)
        self.reader.join(10)
        self.waited = True
        return code

    def stop(self, seconds=40):
        """ends the process as an operator would; fails when it had crashed meanwhile, or ends with another code than 0"""
        if self.process is None or self.waited:
            return self.process and self.process.returncode
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            code = self.wait(seconds)
            assert code == 0, f"the process ended with {code}:\n{self.evidence()}"
            return code
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise AssertionError(f"the process did not end within {seconds} s of SIGTERM:\n{self.evidence()}")


class Server(Child):
    """`nereid serve` on free loopback ports."""

    def __init__(self, folder, *flags, config=None, name="serve", env=None):
        self.folder, self.state = folder, folder / "state"
        command = [BINARY, name]
        if config is not None:
            (folder / "nereid.yaml").write_text(config)
            command.append(f"--config={folder}/nereid.yaml")
        command += ["--http-port=0", "--grpc-port=0", "--metrics-port=0", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
                    f"--state-folder={self.state}", *flags]
        super().__init__(command, env)
        self.http = self.grpc = self.metrics = None

    def start(self):
        self.spawn()
        flags = " ".join(self.command)
        for name, attribute in (("HTTPService", "http"), ("GRPCInferenceService", "grpc"), ("Metrics Service", "metrics")):
            if f"--allow-{attribute}=false" not in flags:
                setattr(self, attribute, self.wait_for_line(rf"Started {name} at ([\w.:\[\]]+)").group(1).rstrip('"'))
        return self

    @property
    def url(self):
        return f"http://{self.http}"

    @property
    def admin_key(self):
        return (self.state / "admin.key").read_text().strip()

    @property
    def admin(self):
        return {"Authorization": f"Bearer {self.admin_key}"}

    def get(self, path, **options):
        return requests.get(self.url + path, timeout=60, **options)

    def post(self, path, **options):
        return requests.post(self.url + path, timeout=120, **options)

    def delete(self, path, **options):
        return requests.delete(self.url + path, timeout=60, **options)


class MockProvider(Child):
    """The compiled OpenAI-shaped provider of tests/support."""

    def __init__(self, folder, *flags):
        super().__init__([os.path.join(BUILD, "mock_provider"), "--port=0", *flags])
        self.address = None

    def start(self):
        self.spawn()
        self.address = self.wait_for_line(r"listening on ([\w.:]+)").group(1)
        return self

    @property
    def base_url(self):
        return f"http://{self.address}/v1"

    def log(self):
        return requests.get(f"http://{self.address}/log", timeout=10).json()
