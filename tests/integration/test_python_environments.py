"""Which Python runs a model: the server's setting, a virtual environment of another version as folder or archive, and what cannot."""
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading

import pytest

from support.processes import workers
from support.python_models import PYTHON, error, infer, tensor, values, write_model
from support.server import ROOT

INT_IN = ("IN", "INT32", [-1])
TELLS = """
    import json
    import os
    import sys

    class TritonPythonModel:
        def execute(self, requests):
            import decimal  # only now: the folder of the Python must still be there
            told = {"version": list(sys.version_info[:2]), "numpy": np.__version__, "prefix": sys.prefix, "environment": dict(os.environ)}
            return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([json.dumps(told)], dtype=object)),
                                                pb_utils.Tensor("SUM", r.inputs()[0].as_numpy().sum(keepdims=True, dtype=np.int32))]) for r in requests]
"""
OUTPUTS = [("OUT", "STRING", [1]), ("SUM", "INT32", [1])]


@pytest.fixture(scope="session")
def python39():
    """a virtual environment of Python 3.9 with a NumPy of its own"""
    return subprocess.run([os.path.join(ROOT, "tools/setup/python39.sh")], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture
def archive(python39, tmp_path):
    path = tmp_path / "env.tar.gz"
    subprocess.run(["tar", "-czf", path, "-C", python39, "."], check=True)
    return path


@pytest.fixture
def repository(tmp_path):
    return tmp_path / "models"


def env_path(path):
    return f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{path}" }} }}\n'


def tell(server, model):
    import json
    got = values(infer(server, model, tensor("IN", "INT32", [3], [1, 2, 3])))
    assert got["SUM"] == [6]
    return json.loads(got["OUT"][0])


def left_over():
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("nereid-python-")}


@pytest.mark.smoke
def test_one_model_file_runs_on_the_servers_python_and_on_another_version(start_server, repository, python39):
    write_model(repository, "own", TELLS, [INT_IN], OUTPUTS)
    write_model(repository, "other", TELLS, [INT_IN], OUTPUTS, env_path(python39))
    server = start_server(f"--model-repository={repository}", "--v2-auth=open", PYTHON)
    own, other = tell(server, "own"), tell(server, "other")
    assert own["version"] == list(sys.version_info[:2]) and other["version"] == [3, 9]
    assert other["numpy"] == "2.0.2" != own["numpy"]
    assert other["prefix"] == python39 and other["environment"]["VIRTUAL_ENV"] == python39


def test_an_archive_is_unpacked_once_and_goes_with_its_last_model(start_server, repository, archive):
    before = left_over()
    for name in ("a", "b"):
        folder = write_model(repository, name, TELLS, [INT_IN], OUTPUTS, env_path("$$TRITON_MODEL_DIRECTORY/env.tar.gz" if name == "a" else archive))
    os.link(archive, folder.parent.parent / "a" / "env.tar.gz")
    server = start_server(f"--model-repository={repository}", "--v2-auth=open", PYTHON, "--model-control-mode=explicit", "--load-model=b")
    assert tell(server, "b")["version"] == [3, 9]
    assert len(left_over() - before) == 1
    assert server.post("/v2/repository/models/b/load").status_code == 200
    assert server.post("/v2/repository/models/a/load").status_code == 200
    assert tell(server, "a")["version"] == [3, 9]
    for name in ("a", "b"):
        server.post(f"/v2/repository/models/{name}/unload")
        server.wait_for_line(f"successfully unloaded '{name}'")
    assert not left_over() - before


def test_what_a_killed_server_left_is_removed_by_the_next(start_server, repository, archive):
    before = left_over()
    write_model(repository, "m", TELLS, [INT_IN], OUTPUTS, env_path(archive))
    server = start_server(f"--model-repository={repository}", "--v2-auth=open", PYTHON)
    server.signal(signal.SIGKILL)
    server.wait()
    assert len(left_over() - before) == 1
    server = start_server(f"--model-repository={repository}", "--v2-auth=open", PYTHON)
    assert len(left_over() - before) == 1
    server.stop()
    assert not left_over() - before


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_python_that_cannot_run_models_is_named_with_the_reason(start_server, repository, tmp_path, python39):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    old = tmp_path / "old"
    (old / "bin").mkdir(parents=True)
    script(old / "bin" / "python3", f'exec {sys.executable} -c "import sys; sys.version_info = (3, 8, 10); import runpy; '
                                    'runpy.run_module(\'nereid_worker\', run_name=\'__main__\')"\n')
    silent = tmp_path / "silent"
    (silent / "bin").mkdir(parents=True)
    script(silent / "bin" / "python3", "exec sleep 1000\n")
    empty, torn = tmp_path / "empty", tmp_path / "torn.tar.gz"
    empty.mkdir()
    torn.write_bytes(b"\x1f\x8b no archive")
    cases = {
        "no_numpy": (bare, ["ModuleNotFoundError", "numpy", str(bare)]),
        "too_old": (old, ["Python 3.8", "too old", "3.9"]),
        "silent": (silent, ["did not answer within 2 s", "silent_0"]),
        "not_there": (tmp_path / "nope", ["EXECUTION_ENV_PATH", str(tmp_path / "nope")]),
        "no_python": (empty, ["no bin/python3", str(empty)]),
        "no_archive": (torn, ["tar cannot unpack", str(torn)]),
    }
    for name, (path, _) in cases.items():
        write_model(repository, name, TELLS, [INT_IN], OUTPUTS, env_path(path))
    write_model(repository, "good", TELLS, [INT_IN], OUTPUTS)
    server = start_server(f"--model-repository={repository}", "--v2-auth=open", PYTHON, "--model-control-mode=explicit", "--load-model=good",
                          "--backend-config=python,stub-timeout-seconds=2")
    before = len(workers(server.pid))
    for name, (_, words) in cases.items():
        response = server.post(f"/v2/repository/models/{name}/load")
        assert response.status_code == 400 and all(word in error(response) for word in words + [name]), (name, response.text)
        assert tell(server, "good")["version"] == list(sys.version_info[:2])
    deadline = threading.Event()
    while len(workers(server.pid)) > before and not deadline.wait(0.05):
        pass
    assert len(workers(server.pid)) == before


def test_a_missing_python_is_named(start_server, repository):
    write_model(repository, "m", TELLS, [INT_IN], OUTPUTS)
    server = start_server(f"--model-repository={repository}", "--v2-auth=open", "--model-control-mode=explicit",
                          "--backend-config=python,executable=/nowhere/python7")
    response = server.post("/v2/repository/models/m/load")
    assert response.status_code == 400 and "/nowhere/python7" in error(response) and "No such file" in error(response)


def test_models_do_not_see_the_keys_of_providers(start_server, repository, tmp_path):
    write_model(repository, "m", TELLS, [INT_IN], OUTPUTS)
    config = ("providers:\n  p:\n    dialect: openai\n    base_url: http://127.0.0.1:9/v1\n    keys: [{env: PROVIDER_SECRET}]\n")
    server = start_server(f"--model-repository={repository}", "--v2-auth=open", PYTHON, config=config,
                          env={"PROVIDER_SECRET": "sk-secret", "MODEL_SETTING": "seen"})
    environment = tell(server, "m")["environment"]
    assert environment["MODEL_SETTING"] == "seen" and "PROVIDER_SECRET" not in environment
