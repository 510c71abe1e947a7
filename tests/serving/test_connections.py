"""Connections that are kept open, and those that never get a request together."""

import contextlib
import time

import pytest

from captioner.serving import run

PATIENCE = 0.6  # seconds for a request's first lines, fewer than uvicorn keeps an idle connection open
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(run, "HEADER_SECONDS", PATIENCE)


def answer(connection):
    """Return the answer's first line; read all of it."""
    head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head.split(b"\r\n")[0]


def is_closed(connection):
    """Tell whether the server ends the connection, which it does long before this gives up."""
    connection.settimeout(30)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_a_connection_that_was_idle_between_two_requests_is_still_there(client):
    with client.socket() as connection:
        for _ in range(3):
            connection.sendall(REQUEST)
            assert answer(connection) == b"HTTP/1.1 200 OK"
            time.sleep(1.5 * PATIENCE)
        connection.sendall(REQUEST)
        assert answer(connection) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("begun", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: he"])
def test_a_connection_that_gets_no_request_together_is_closed(client, begun):
    with client.socket() as connection:
        connection.sendall(begun)
        assert is_closed(connection)


def test_so_is_one_that_had_an_answer_before(client):
    with client.socket() as connection:
        connection.sendall(REQUEST)
        answer(connection)
        connection.sendall(b"GET /heal")
        assert is_closed(connection)


def test_a_byte_now_and_then_does_not_help(client):
    with client.socket() as connection:
        with contextlib.suppress(ConnectionError):
            for byte in REQUEST[:-1]:
                connection.sendall(bytes([byte]))
                time.sleep(PATIENCE / 4)
        assert is_closed(connection)
