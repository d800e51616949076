"""The article's three clients, written anew from the contract: chat with routing, batch and a cost report; a canary probe that shifts
traffic; key rotation. Only address, key and waiting time differ from what a user would run."""
import asyncio
import datetime
import random
import time
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import requests

from support.gateway_config import MOCK_ENV, OTHERWISE, TASKS, gateway_config

PER_1K = {"gpt-4.1": (0.003, 0.008), "claude-sonnet-4.5": (0.004, 0.015), "gemini-2.5-flash": (0.0003, 0.0025), "deepseek-v3.2": (0.0001, 0.00042)}


class Client:
    def __init__(self, base_url, key):
        self.base_url, self.session, self.seen = base_url, requests.Session(), []
        self.session.headers.update({"Authorization": f"Bearer {key}", "Content-Type": "application/json"})

    def chat(self, model, messages, temperature=0.7, max_tokens=2048):
        started = time.perf_counter()
        response = self.session.post(f"{self.base_url}/chat/completions", timeout=120, json={
            "model": model, "messages": messages, "temperature": temperature, "max_tokens": max_tokens, "stream": False})
        elapsed_ms = (time.perf_counter() - started) * 1000
        assert response.status_code == 200, response.text
        answer = response.json()
        given, taken = answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]
        price = PER_1K[answer["model"]]
        self.seen.append((answer["model"], given + taken, (given * price[0] + taken * price[1]) / 1000, elapsed_ms))
        return answer

    def route(self, task, messages):
        return self.chat(TASKS.get(task, OTHERWISE), messages)

    def batch(self, items, workers):
        def one(item):
            try:
                return {"id": item["id"], "status": "success", "data": self.chat(item["model"], item["messages"])}
            except AssertionError as error:
                return {"id": item["id"], "status": "error", "error": str(error)}
        with ThreadPoolExecutor(max_workers=workers) as pool:
            return list(pool.map(one, items))

    def report(self):
        models = {}
        for model, tokens, cost, _ in self.seen:
            entry = models.setdefault(model, {"tokens": 0, "cost": 0.0, "requests": 0})
            entry["tokens"] += tokens
            entry["cost"] += cost
            entry["requests"] += 1
        cost = sum(s[2] for s in self.seen)
        tokens = sum(s[1] for s in self.seen)
        return {"total_requests": len(self.seen), "total_tokens": tokens, "total_cost_usd": round(cost, 4), "model_breakdown": models,
                "cost_per_1k_tokens": round(cost / tokens * 1000, 4)}


def test_the_client_and_its_cost_report_agree_with_the_server(start_server, mock_provider):
    server = start_server(config=gateway_config(mock_provider.base_url), env=MOCK_ENV)
    client = Client(server.url + "/v1", server.admin_key)
    answer = client.chat("claude-sonnet-4.5", [{"role": "system", "content": "You write for a shop."}, {"role": "user", "content": "Describe a headphone."}], max_tokens=500)
    assert answer["choices"][0]["message"]["content"]
    for task in [*TASKS, "something_else"]:
        assert client.route(task, [{"role": "user", "content": "hello"}])["model"] == TASKS.get(task, OTHERWISE)
    items = [{"id": f"task_{i}", "model": "gemini-2.5-flash", "messages": [{"role": "user", "content": f"Classify review #{i}"}]} for i in range(5)]
    items.append({"id": "bad", "model": "no-such-model", "messages": [{"role": "user", "content": "x"}]})
    results = client.batch(items, 5)
    assert [r["status"] for r in results] == ["success"] * 5 + ["error"]

    mine = client.report()
    theirs = server.get("/v1/admin/usage?hours=1", headers=server.admin).json()
    assert theirs["period_hours"] == 1
    for field in ("total_requests", "total_tokens", "total_cost_usd", "cost_per_1k_tokens"):
        assert theirs[field] == mine[field], (field, theirs, mine)
    assert theirs["avg_latency_ms"] > 0
    assert set(theirs["model_breakdown"]) == set(mine["model_breakdown"])
    for model, entry in mine["model_breakdown"].items():
        there = theirs["model_breakdown"][model]
        assert (there["tokens"], there["requests"]) == (entry["tokens"], entry["requests"])
        assert abs(there["cost"] - entry["cost"]) < 1e-6


def test_the_canary_script_probes_without_a_key_and_reads_the_response_time(start_server, mock_provider):
    config = gateway_config(mock_provider.base_url)
    new, legacy = (start_server(config=config, env=MOCK_ENV) for _ in range(2))

    async def canary():
        split, steps = 0.05, []
        headers = {side.url: {"Authorization": f"Bearer {side.admin_key}"} for side in (new, legacy)}
        async with aiohttp.ClientSession() as session:
            for side in (new, legacy):
                async with session.get(f"{side.url}/v1/models") as response:
                    assert response.status == 200

            async def one(side):
                payload = {"model": "deepseek-v3.2", "messages": [{"role": "user", "content": "Test request"}], "max_tokens": 100}
                async with session.post(f"{side.url}/v1/chat/completions", json=payload, headers=headers[side.url]) as response:
                    await response.read()
                    return side is new, response.status, float(response.headers.get("X-Response-Time", "nan"))

            choose = random.Random(7)
            while split < 1.0:
                results = await asyncio.gather(*(one(new if choose.random() < split else legacy) for _ in range(20)))
                mine = [r for r in results if r[0]]
                errors = sum(r[1] >= 400 for r in mine) / max(len(mine), 1)
                latency = sum(r[2] for r in mine) / max(len(mine), 1)
                assert errors <= 0.05 and latency <= 500, (errors, latency)
                split = min(split + 0.10, 1.0)
                steps.append(split)
        return steps

    steps = asyncio.run(canary())
    assert steps[-1] == 1.0 and len(steps) == 10


class KeyManager:
    def __init__(self, base_url, admin_key):
        self.base_url, self.headers = base_url, {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"}

    def create(self, name, scopes, days=90):
        expires = (datetime.datetime.utcnow() + datetime.timedelta(days=days)).isoformat() + "Z"
        response = requests.post(f"{self.base_url}/admin/keys", json={"name": name, "scopes": scopes, "expires_at": expires}, headers=self.headers, timeout=30)
        assert response.status_code == 201, response.text
        return response.json()

    def info(self, key_id):
        return requests.get(f"{self.base_url}/admin/keys/{key_id}", headers=self.headers, timeout=30).json()

    def delete(self, key_id):
        return requests.delete(f"{self.base_url}/admin/keys/{key_id}", headers=self.headers, timeout=30).status_code == 204

    def active(self):
        return requests.get(f"{self.base_url}/admin/keys", headers=self.headers, timeout=30).json().get("keys", [])

    def rotate(self, old_id):
        old = self.info(old_id)
        new = self.create(f"{old['name']}-rotated-{int(time.time())}", old["scopes"], old.get("expires_in_days", 90))
        test = requests.get(f"{self.base_url}/models", headers={"Authorization": f"Bearer {new['key']}"}, timeout=30)
        assert test.status_code == 200, test.text
        assert self.delete(old_id)
        return new["key"]


def test_the_key_manager_rotates_a_key_and_keeps_its_lifetime(start_server, mock_provider):
    server = start_server(config=gateway_config(mock_provider.base_url), env=MOCK_ENV)
    manager = KeyManager(server.url + "/v1", server.admin_key)
    first = manager.create("shop", ["chat", "models"])
    assert [k["name"] for k in manager.active()] == ["shop"]
    for key in manager.active():
        created = datetime.datetime.fromisoformat(key["created_at"].replace("Z", ""))
        assert abs((datetime.datetime.utcnow() - created).total_seconds()) < 60
    assert manager.info(first["id"])["expires_in_days"] == 90
    secret = manager.rotate(first["id"])
    active = manager.active()
    assert len(active) == 1 and active[0]["name"].startswith("shop-rotated-")
    assert manager.info(active[0]["id"])["expires_in_days"] == 90
    chat = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}]}
    assert server.post("/v1/chat/completions", json=chat, headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    assert server.post("/v1/chat/completions", json=chat, headers={"Authorization": f"Bearer {first['key']}"}).status_code == 401
