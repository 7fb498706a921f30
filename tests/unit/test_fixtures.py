"""What the tests themselves stand on: no network, and shared models that nobody changes."""

import socket
from types import SimpleNamespace

import pytest
from torch import nn

from tests.conftest import fingerprint


@pytest.mark.parametrize("family, address", [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")])
def test_no_other_machine_is_reached(family, address):
    with socket.socket(family) as probe, pytest.raises(OSError, match="tests run without network"):
        probe.connect((address, 80))


def test_names_of_other_machines_are_not_resolved():
    with pytest.raises(socket.gaierror, match="tests run without network"):
        socket.create_connection(("example.org", 80), timeout=1)


def test_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


@pytest.mark.parametrize("change", [lambda m: m.train(), lambda m: m[0].weight.data.add_(1)])
def test_a_changed_model_is_noticed(change):
    model = SimpleNamespace(tower=nn.Sequential(nn.Linear(2, 2)).eval())
    before = fingerprint(model)
    assert fingerprint(model) == before
    change(model.tower)
    assert fingerprint(model) != before
