"""The gateway against a provider that behaves and one that does not: an honest error, never an invented end."""
import json
import threading

import openai
import pytest
import requests

from support.gateway_config import MOCK_ENV, gateway_config

pytestmark = pytest.mark.smoke

CHAT = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]}
TIMEOUTS = "first_byte_timeout_ms: 1500\nbetween_bytes_timeout_ms: 1500\nconnect_timeout_ms: 1500"


@pytest.fixture
def gateway(start_server, mock_provider):
    return start_server(config=gateway_config(mock_provider.base_url, provider_options=TIMEOUTS), env=MOCK_ENV)


def chat(server, fault=None, **changes):
    body = {**CHAT, **changes}
    if fault:
        body["user"] = f"fault:{fault}"  # the mock's way to be told what to do
    return server.post("/v1/chat/completions", json=body, headers=server.admin, stream=body.get("stream", False))


def test_a_relayed_answer_names_the_public_model_and_counts_usage(gateway):
    answer = chat(gateway)
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == "gpt-4.1" and body["usage"]["total_tokens"] > 0
    assert float(answer.headers["X-Response-Time"]) > 0 and answer.headers["x-request-id"]


def test_a_relayed_stream_ends_as_the_provider_ended_it(gateway):
    client = openai.OpenAI(base_url=gateway.url + "/v1", api_key=gateway.admin_key, max_retries=0)
    chunks = list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens > 0 and any(c.choices and c.choices[0].finish_reason for c in chunks)
    assert {c.model for c in chunks} == {"gpt-4.1"}


def test_a_stream_without_include_usage_shows_none_and_is_billed_all_the_same(gateway):
    response = chat(gateway, stream=True)
    lines = [line for line in response.iter_lines(decode_unicode=True) if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert not any(json.loads(line[6:]).get("usage") for line in lines[:-1])
    report = gateway.get("/v1/admin/usage?hours=1", headers=gateway.admin).json()
    assert report["total_requests"] == 1 and report["total_tokens"] > 0


@pytest.mark.parametrize("asked,header,model", [
    ("task:code_generation", None, "gpt-4.1"),
    ("task:unheard_of", None, "gemini-2.5-flash"),
    ("auto", "batch_processing", "deepseek-v3.2"),
    ("claude-sonnet-4.5", "batch_processing", "claude-sonnet-4.5"),
])
def test_the_task_chooses_the_model(gateway, asked, header, model):
    headers = {**gateway.admin, **({"X-Task-Type": header} if header else {})}
    answer = gateway.post("/v1/chat/completions", json={**CHAT, "model": asked}, headers=headers)
    assert answer.status_code == 200 and answer.json()["model"] == model


@pytest.mark.parametrize("body,named", [
    ('{"model": "gpt-4.1", "model": "claude-sonnet-4.5", "messages": []}', "model"),
    ('{"model": "gpt-4.1", "mod\\u0065l": "claude-sonnet-4.5", "messages": []}', "model"),
    ('{"messages": []}', "model"),
    ('{"model": 7, "messages": []}', "model"),
])
def test_a_located_field_that_is_repeated_missing_or_odd_is_400(gateway, body, named):
    answer = gateway.post("/v1/chat/completions", data=body, headers={**gateway.admin, "Content-Type": "application/json"})
    assert answer.status_code == 400 and named in answer.json()["error"]["message"]


@pytest.mark.parametrize("fault,statuses", [("reset", (502, 504)), ("stall", (504,)), ("cut", (502,)), ("html", (502,)), ("500", (500, 502)), ("429", (429,))])
def test_a_provider_that_fails_before_the_answer_gives_an_openai_error(gateway, fault, statuses):
    answer = chat(gateway, fault)
    assert answer.status_code in statuses, answer.text
    assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
    assert chat(gateway).status_code == 200


@pytest.mark.parametrize("fault", ["cut", "reset", "stall"])
def test_a_stream_that_breaks_is_never_given_an_end(gateway, fault):
    response = chat(gateway, f"{fault}-after-3", stream=True)
    assert response.status_code == 200
    text = b""
    try:
        for piece in response.iter_content(None):
            text += piece
    except requests.exceptions.RequestException:
        pass
    assert text.count(b"data: ") >= 3 and b"[DONE]" not in text and b'"finish_reason":"stop"' not in text
    assert b'"error"' in text


def test_a_provider_that_is_not_there_is_502_and_named(start_server):
    server = start_server(config=gateway_config("http://127.0.0.1:9/v1"), env=MOCK_ENV)
    answer = chat(server)
    assert answer.status_code == 502 and "mock" in answer.json()["error"]["message"]


def test_a_client_that_leaves_a_stream_ends_the_work_upstream(gateway, mock_provider):
    streams = 12  # sooner and later than a tick of either server
    for i in range(streams):
        response = chat(gateway, "slow", stream=True)
        chunks = response.iter_content(64)
        for _ in range(i):
            next(chunks)
        response.close()
    for _ in range(200):
        if mock_provider.log()["cancelled"] == streams:
            break
        threading.Event().wait(0.05)
    assert mock_provider.log()["cancelled"] == streams


def test_the_clients_key_never_reaches_the_provider(gateway, mock_provider):
    chat(gateway)
    assert mock_provider.log()["authorizations"] == ["Bearer sk-mock"]


def test_an_unknown_field_reaches_the_provider_as_it_was_sent(gateway, mock_provider):
    gateway.post("/v1/chat/completions", data='{"model":"gpt-4.1","messages":[],"x_vendor":{"a":0.70}}', headers={**gateway.admin, "Content-Type": "application/json"})
    assert '"x_vendor":{"a":0.70}' in mock_provider.log()["last_body"]
