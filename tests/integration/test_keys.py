"""Keys: what they may do, how they end, and what is never shown."""
import datetime
import stat

import pytest

from support.gateway_config import MOCK_ENV, gateway_config

pytestmark = pytest.mark.smoke


@pytest.fixture
def server(start_server, mock_provider):
    return start_server(config=gateway_config(mock_provider.base_url), env=MOCK_ENV)


def create(server, key=None, **body):
    headers = {"Authorization": f"Bearer {key}"} if key else server.admin
    return server.post("/v1/admin/keys", json={"name": "k", "scopes": ["chat"], **body}, headers=headers)


def chat(server, key, model="gpt-4.1"):
    return server.post("/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": "x"}]}, headers={"Authorization": f"Bearer {key}"})


def test_a_created_key_has_the_contracts_fields_and_works(server):
    answer = create(server, expires_at="2099-01-01T00:00:00.123456Z")
    assert answer.status_code == 201
    key = answer.json()
    assert {"id", "key", "name", "scopes", "created_at", "expires_at"} <= set(key)
    assert chat(server, key["key"]).status_code == 200
    info = server.get(f"/v1/admin/keys/{key['id']}", headers=server.admin).json()
    assert "key" not in info and info["days_left"] > 20_000
    datetime.datetime.fromisoformat(info["created_at"].replace("Z", ""))


def test_a_key_without_an_end_has_no_expires_in_days(server):
    key = create(server).json()
    assert "expires_in_days" not in server.get(f"/v1/admin/keys/{key['id']}", headers=server.admin).json()


@pytest.mark.parametrize("header,text", [(None, "Authorization"), ("sk-123", "Invalid API key format"), ("Bearer nonsense", "Invalid API key format"), ("Basic eDp5", "Invalid API key format")])
def test_each_wrong_key_has_its_own_401(server, header, text):
    headers = {"Authorization": header} if header else {}
    answer = server.post("/v1/chat/completions", json={}, headers=headers)
    assert answer.status_code == 401 and text in answer.json()["error"]["message"]
    assert float(answer.headers["X-Response-Time"]) >= 0


def test_unknown_and_revoked_keys_are_told_apart_from_bad_formats(server):
    key = create(server).json()
    assert server.delete(f"/v1/admin/keys/{key['id']}", headers=server.admin).status_code == 204
    revoked = chat(server, key["key"])
    unknown = chat(server, key["key"][:-4] + ("AAAA" if not key["key"].endswith("AAAA") else "BBBB"))
    assert revoked.status_code == unknown.status_code == 401
    messages = {a.json()["error"]["message"] for a in (revoked, unknown)}
    assert "Invalid API key format" not in messages
    assert server.delete(f"/v1/admin/keys/{key['id']}", headers=server.admin).status_code == 404


def test_scopes_hold(server):
    chat_only = create(server).json()["key"]
    assert create(server, key=chat_only).status_code == 403
    models_only = create(server, scopes=["models"]).json()["key"]
    assert chat(server, models_only).status_code == 403
    one_model = create(server, scopes=["chat", "model:gpt-*"]).json()["key"]
    assert chat(server, one_model).status_code == 200
    other = chat(server, one_model, "claude-sonnet-4.5")
    assert other.status_code in (403, 404) and "gpt-4.1" not in other.json()["error"].get("code", "")


@pytest.mark.parametrize("body,named", [({"scopes": ["everything"]}, "everything"), ({"scopes": "chat"}, "scopes"), ({"name": ""}, "name"), ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"), ({"expires_at": "soon"}, "expires_at"), ({"color": "red"}, "color")])
def test_a_bad_key_request_names_the_field(server, body, named):
    answer = create(server, **body)
    assert answer.status_code == 400 and named in answer.text


def test_the_bootstrap_key_is_private_unlisted_and_cannot_go(server):
    assert stat.S_IMODE((server.state / "admin.key").stat().st_mode) == 0o600
    assert server.get("/v1/admin/keys", headers=server.admin).json() == {"keys": []}
    assert server.admin_key not in server.output()


def test_the_catalogue_is_open_but_a_wrong_key_is_401(server):
    models = server.get("/v1/models")
    assert models.status_code == 200 and {m["id"] for m in models.json()["data"]} >= {"gpt-4.1", "deepseek-v3.2"}
    assert server.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert server.get("/v1/models/gpt-4.1", headers=server.admin).json()["id"] == "gpt-4.1"


def test_keys_survive_a_restart(server):
    key = create(server).json()["key"]
    assert server.stop() == 0
    server.start()
    assert chat(server, key).status_code == 200
