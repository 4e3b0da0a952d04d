"""Ports, as both embedded servers and the command ask for them."""

import socket

import pytest

from core.embedded.process import EmbeddedServerError, free_port, port_is_free


def test_a_port_is_free_until_somebody_listens():
    port = free_port()
    assert port_is_free(port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not port_is_free(port)


@pytest.mark.parametrize("number", [-5, 65536, 70000])
def test_a_number_that_is_no_port_is_said_in_one_line(number: int):
    with pytest.raises(EmbeddedServerError, match=f"{number} is no port"):
        port_is_free(number)
