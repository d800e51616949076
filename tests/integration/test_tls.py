"""TLS on both sides: our listener, and connections to providers, which are always verified. A second Nereid plays the provider."""
import subprocess

import pytest
import requests

from support.gateway_config import MOCK_ENV, gateway_config
from support.raw_http import exchange

pytestmark = pytest.mark.smoke

CHAT = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]}


def run(*command):
    subprocess.run([str(c) for c in command], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """a folder with ca.pem and other.pem, and issue(name, san) -> (certificate, key)"""
    folder = tmp_path_factory.mktemp("authority")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def make_ca(name):
        run("openssl", "req", "-x509", *new_key, "-days", 2, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")

    def issue(name, san):
        (folder / f"{name}.ext").write_text(f"subjectAltName={san}\n")
        run("openssl", "req", *new_key, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        run("openssl", "x509", "-req", "-days", 2, "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.pem")
        return folder / f"{name}.pem", folder / f"{name}.key"

    make_ca("ca")
    make_ca("other")
    return folder, issue


def tls_server(start_server, mock_provider, files):
    certificate, key = files
    return start_server(config=gateway_config(mock_provider.base_url) + f"server: {{tls: {{certificate_file: {certificate}, key_file: {key}}}}}\n",
                        env=MOCK_ENV)


def relay_to(start_server, upstream, host, ca):
    port = upstream.http.rsplit(":", 1)[1]
    config = f"""
providers:
  inner:
    dialect: openai
    base_url: https://{host}:{port}/v1
    ca_file: {ca}
    keys: [{{env: INNER_KEY}}]
public_models:
  gpt-4.1:
    targets: [{{provider: inner, model: gpt-4.1}}]
"""
    return start_server(config=config, env={"INNER_KEY": upstream.admin_key})


def ask(server, **changes):
    return server.post("/v1/chat/completions", json={**CHAT, **changes}, headers=server.admin)


def test_the_listener_speaks_tls_to_a_client_that_verifies_it(start_server, mock_provider, authority):
    folder, issue = authority
    server = tls_server(start_server, mock_provider, issue("listener", "DNS:localhost,IP:127.0.0.1"))
    url = f"https://{server.http}"
    trust = {"verify": str(folder / "ca.pem")}  # with each request: an environment variable overrides a session's
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(url + "/v2/health/live", timeout=20, **trust).status_code == 200
        big = session.post(url + "/v1/chat/completions", headers=server.admin, timeout=60, **trust,
                           json={"model": "gpt-4.1", "messages": [{"role": "user", "content": "w" * 300_000}]})
        assert big.status_code == 200 and big.json()["model"] == "gpt-4.1"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url + "/v2/health/live", verify=str(folder / "other.pem"), timeout=20)
    # Those who do not speak TLS harm nobody; of many, some have sent all before the server looks.
    for _ in range(100):
        with pytest.raises(OSError):
            exchange(server.http, b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert requests.get(url + "/v2/health/live", timeout=20, **trust).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_provider_is_reached_over_tls_and_its_connection_kept(start_server, mock_provider, authority, host):
    folder, issue = authority
    upstream = tls_server(start_server, mock_provider, issue(f"up-{host}", "DNS:localhost,IP:127.0.0.1"))
    server = relay_to(start_server, upstream, host, folder / "ca.pem")
    for _ in range(3):
        answer = ask(server)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["total_tokens"] > 0
    stream = ask(server, stream=True)
    assert stream.text.rstrip().endswith("data: [DONE]")


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")  # of the look at the upstream's own report
@pytest.mark.parametrize("case", ["another authority", "another name", "the system's roots"])
def test_a_provider_whose_certificate_does_not_verify_is_never_sent_anything(start_server, mock_provider, authority, case):
    folder, issue = authority
    san = "DNS:elsewhere.example" if case == "another name" else "DNS:localhost"
    upstream = tls_server(start_server, mock_provider, issue("wrong", san))
    ca = {"another authority": folder / "other.pem", "another name": folder / "ca.pem", "the system's roots": '""'}[case]
    server = relay_to(start_server, upstream, "localhost", ca)
    answer = ask(server)
    assert answer.status_code == 502, answer.text
    message = answer.json()["error"]["message"]
    assert "inner" in message and "TLS handshake failed" in message and "certificate verify failed" in message
    assert requests.get(f"https://localhost:{upstream.http.rsplit(':', 1)[1]}/v1/admin/usage", headers=upstream.admin, verify=False,
                        timeout=20).json()["total_requests"] == 0


def test_a_certificate_file_that_is_none_keeps_the_server_from_starting(start_server, mock_provider, tmp_path):
    (tmp_path / "no.pem").write_text("nothing\n")
    with pytest.raises(AssertionError, match=r"ended with 1 (?s:.*)no\.pem"):
        tls_server(start_server, mock_provider, (tmp_path / "no.pem", tmp_path / "no.pem"))
