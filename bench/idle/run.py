"""An idle server without a model, gRPC on: resident memory, and the time from start to the first 200 on /v2/health/live."""
import argparse
import http.client
import pathlib
import statistics
import tempfile
import time

import measure
from support.server import Child, BINARY

NGINX = """daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log crit;
events {{}}
http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }} }}"""


def first_answer(child, port, path):
    """milliseconds from spawning to the first 200"""
    began = time.perf_counter()
    child.spawn()
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return (time.perf_counter() - began) * 1000
        except OSError:
            if not child.alive():
                raise SystemExit(child.output())
        time.sleep(0.001)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=11)
    rounds = options.parse_args().rounds
    seen = {"nereid": ([], []), "nginx": ([], [])}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for i in range(rounds):
            for name, (millis, resident) in seen.items():
                port = measure.free_port()
                (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
                child = Child({"nginx": ["nginx", "-e", "stderr", "-c", folder / "nginx.conf"],
                               "nereid": [BINARY, "serve", f"--http-port={port}", "--grpc-port=0", "--metrics-port=0",
                                          f"--state-folder={folder}/state"]}[name])
                millis.append(first_answer(child, port, "/v2/health/live"))
                if name == "nereid":
                    child.wait_for_line("Started Metrics Service")
                resident.append(sum(measure.resident_mb(pid) for pid in measure.children(child.pid)))
                child.stop()
    print(f"\n{measure.machine()}; {rounds} rounds, medians\n")
    measure.table(["", "start to first 200, ms", "VmRSS, MB"],
                  [[name, statistics.median(millis), statistics.median(resident)] for name, (millis, resident) in seen.items()])


if __name__ == "__main__":
    main()
