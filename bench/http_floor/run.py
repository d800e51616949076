"""A relayed chat request of 1 KB in and 1 KB out: Nereid with key check, routing and ledger against plain reverse proxies."""
import argparse
import json
import pathlib
import tempfile
import time

import requests

import measure
from support.server import Child, MockProvider, Server

HERE = pathlib.Path(__file__).parent
CONFIG = """
providers:
  mock:
    dialect: openai
    base_url: {base_url}
    keys: [{{env: MOCK_KEY}}]
public_models:
  chat:
    price: {{input: "3", output: "8"}}
    targets: [{{provider: mock, model: chat}}]
"""


class Proxy(Child):
    def __init__(self, folder, template, command, **values):
        folder.mkdir()
        self.port = measure.free_port()
        text = (HERE / template).read_text()
        for key, value in {**values, "PORT": self.port, "FOLDER": folder}.items():
            text = text.replace(key, str(value))
        path = folder / template
        path.write_text(text)
        super().__init__([*command, str(path)])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


def body_of(size):
    body = {"model": "chat", "messages": [{"role": "system", "content": "You are brief."}, {"role": "user", "content": ""}],
            "temperature": 0.7, "max_tokens": 256}
    body["messages"][1]["content"] = "w" * (size - len(json.dumps(body)))
    return json.dumps(body)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--only", help="comma-separated subjects")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        mock = MockProvider(folder, "--quiet", "--answer-bytes=760").start()
        body = body_of(1024)
        subjects = {"direct": mock}
        for threads in (1, 2):
            for buffering in ("on", "off"):
                subjects[f"nginx, {threads} worker, buffering {buffering}"] = Proxy(
                    folder / f"nginx{threads}{buffering}", "nginx.conf", ["nginx", "-e", "stderr", "-c"], WORKERS=threads,
                    BUFFERING=buffering, UPSTREAM=mock.address)
            subjects[f"haproxy, {threads} thread"] = Proxy(folder / f"haproxy{threads}", "haproxy.cfg", ["haproxy", "-f"],
                                                          THREADS=threads, UPSTREAM=mock.address)
            place = folder / f"nereid{threads}"
            place.mkdir()
            subjects[f"nereid, {threads} thread"] = Server(
                place, "--allow-grpc=false", "--allow-metrics=false", f"--http-thread-count={threads}",
                config=CONFIG.format(base_url=mock.base_url), env={"MOCK_KEY": "sk-mock"})
        if options.only:
            subjects = {name: one for name, one in subjects.items() if any(part in name for part in options.only.split(","))}
        for one in subjects.values():
            if isinstance(one, Server):
                one.start()
            elif isinstance(one, Proxy):
                one.spawn()
        for name, one in subjects.items():
            key = one.admin_key if isinstance(one, Server) else "none"
            url = one.base_url if one is mock else one.url + "/v1"
            script = folder / f"{one.pid}.lua"
            script.write_text(f'wrk.method = "POST"\nwrk.body = [=[{body}]=]\nwrk.headers["Content-Type"] = "application/json"\n'
                              f'wrk.headers["Authorization"] = "Bearer {key}"\n')
            one.load = (url + "/chat/completions", script)
            for _ in range(50):
                try:
                    answer = requests.post(one.load[0], data=body, headers={"Authorization": f"Bearer {key}"}, timeout=10)
                    break
                except requests.ConnectionError:
                    if not one.alive():
                        raise SystemExit(f"{name} ended:\n{one.output()}")
                    time.sleep(0.1)
            answer.raise_for_status()
            print(f"{name}: {len(body)} bytes in, {len(answer.content)} out")
            measure.wrk(one.load[0], options.connections, 1, one.load[1])

        def once(name):
            one = subjects[name]
            cpu = 0 if one is mock else measure.cpu_seconds(one.pid)
            projection = measure.thread_cpu_seconds(one.pid, "store-p")
            seen = measure.wrk(one.load[0], options.connections, options.seconds, one.load[1])
            projection = measure.thread_cpu_seconds(one.pid, "store-p") - projection
            cpu = 0 if one is mock else measure.cpu_seconds(one.pid) - cpu
            seen["cpu_us"] = (cpu - projection) * 1e6 / seen["requests"]
            seen["projection_us"] = projection * 1e6 / seen["requests"]
            return seen

        medians = measure.interleaved(options.rounds, list(subjects), once)
        for one in subjects.values():
            one.stop()
        mock.stop()
        print(f"\n{measure.machine()}; {options.connections} connections of wrk, {options.rounds} rounds of {options.seconds} s, medians\n")
        nginx = {threads: min((seen["cpu_us"] for name, seen in medians.items() if name.startswith(f"nginx, {threads}")), default=0)
                 for threads in (1, 2)}
        measure.table(["", "CPU us/request", "x nginx with as many threads", "projection us/request", "rps", "p50 ms", "p99 ms"], [
            [name, seen["cpu_us"], next((f"{seen['cpu_us'] / nginx[n]:.2f}" for n in (1, 2) if nginx[n] and f", {n} " in name), ""),
             seen["projection_us"], round(seen["rps"]), seen["p50"], seen["p99"]] for name, seen in medians.items()])


if __name__ == "__main__":
    main()
