"""The server starts, answers on its three ports, and ends cleanly."""
import subprocess

import pytest
import requests

from support.server import BINARY

pytestmark = pytest.mark.smoke


def empty_repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


def test_it_serves_health_metadata_and_metrics_and_ends_with_zero(start_server, tmp_path):
    server = start_server(f"--model-repository={empty_repository(tmp_path)}")
    assert server.get("/v2/health/live").status_code == 200
    assert server.get("/v2/health/ready").status_code == 200
    metadata = server.get("/v2").json()
    assert metadata["name"] == "triton" and "binary_tensor_data" in metadata["extensions"]
    assert "nv_cpu_memory_total_bytes" in requests.get(f"http://{server.metrics}/metrics", timeout=10).text
    assert server.stop() == 0


def test_called_as_tritonserver_it_takes_the_articles_command_line(start_server, tmp_path):
    repository = empty_repository(tmp_path)
    (repository / "triton_config.yml").write_text("stray: file\n")
    server = start_server(f"--model-repository={repository}", "--backend-config=python,shm-default-byte-size=33554432", "--log-verbose=1")
    assert server.get("/v2/health/ready").status_code == 200


def test_a_key_is_needed_for_chat_and_the_answer_says_what_to_send(start_server, tmp_path):
    server = start_server(f"--model-repository={empty_repository(tmp_path)}")
    answer = server.post("/v1/chat/completions", json={"model": "x", "messages": [{"role": "user", "content": "x"}]})
    assert answer.status_code == 401 and "Authorization" in answer.json()["error"]["message"]
    assert float(answer.headers["X-Response-Time"]) >= 0
    wrong = server.post("/v1/chat/completions", json={}, headers={"Authorization": server.admin_key})
    assert wrong.status_code == 401 and wrong.json()["error"]["message"] == "Invalid API key format"


def test_version_and_doctor_answer(tmp_path):
    assert subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.startswith("nereid ")
    doctor = subprocess.run([BINARY, "doctor", f"--model-repository={empty_repository(tmp_path)}", f"--state-folder={tmp_path}/state", "--http-port=0", "--grpc-port=0", "--metrics-port=0"], capture_output=True, text=True)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_a_port_in_use_is_one_clear_line_and_exit_code_1(start_server, tmp_path):
    first = start_server(f"--model-repository={empty_repository(tmp_path)}")
    port = first.http.rsplit(":", 1)[1]
    second = subprocess.run([BINARY, "serve", "--http-address=127.0.0.1", f"--http-port={port}", "--grpc-port=0", "--metrics-port=0", f"--model-repository={tmp_path}/repository", f"--state-folder={tmp_path}/state2"], capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    last = (second.stdout + second.stderr).strip().splitlines()[-1]
    assert port in last and "use" in last
    assert first.get("/v2/health/live").status_code == 200


def test_a_missing_repository_is_named(tmp_path):
    result = subprocess.run([BINARY, "serve", f"--model-repository={tmp_path}/nowhere", "--http-port=0", "--grpc-port=0", "--metrics-port=0", f"--state-folder={tmp_path}/state"], capture_output=True, text=True, timeout=30)
    assert result.returncode == 1 and "nowhere" in (result.stdout + result.stderr).strip().splitlines()[-1]
