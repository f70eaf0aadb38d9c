import threading

import pytest
import torch
from serving import BODY, FILE, Server
from sketchscope.fetch import download


def pytest_collection_modifyitems(items):
    """Start the slowest tests first, each on its own, so that no worker is left with one when the others are done."""
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in ("workflow", "slow")))


@pytest.fixture
def server(monkeypatch):
    """A running HTTP server on this machine with one file, and downloads that do not wait for it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "RETRIES", 2)
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(download, "LONGEST_PAUSE", 0.001)
    monkeypatch.setattr(download, "TIMEOUT", 10)
    with Server() as running:
        running.files[FILE] = BODY
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def one_thread():
    """The same sums in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
