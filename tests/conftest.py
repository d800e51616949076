"""Fixtures for tests against the real binary. Each server gets its own state folder, free ports, and is stopped by pid."""
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from support.server import MockProvider, Server  # noqa: E402


def pytest_collection_modifyitems(config, items):
    if os.environ.get("CI") and not os.path.exists(os.environ.get("NEREID_BINARY", "")):
        raise pytest.UsageError("NEREID_BINARY names no file: run this through tools/test.sh")


@pytest.fixture
def start_server(tmp_path):
    """start_server(*flags, config=None, ...) -> a running Server; all are stopped at the end"""
    servers = []

    def start(*flags, **options):
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        server = Server(folder, *flags, **options)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def mock_provider(tmp_path):
    """a running OpenAI-shaped provider"""
    provider = MockProvider(tmp_path).start()
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def demo_models(tmp_path_factory):
    """a repository with the demo models, out of the per-machine cache"""
    folder = tmp_path_factory.mktemp("demo")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    subprocess.run([os.path.join(root, "tools/setup/models.sh"), str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder
