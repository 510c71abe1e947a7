import http.server
import threading

import pytest

from captioner.images import urls
from captioner.images.urls import fetch, is_public
from captioner.storage import DataError


class Server(http.server.BaseHTTPRequestHandler):
    """Answers by path, as servers of the world do."""

    def do_GET(self):
        if self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
        elif self.path == "/there":
            self.send_response(301)
            self.send_header("Location", "picture")
        elif self.path == "/file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
        elif self.path in ("/picture", "/endless"):
            self.send_response(200)
        else:
            self.send_response(404)
        self.end_headers()
        if self.path == "/picture":
            self.wfile.write(b"bytes")
        if self.path == "/endless":
            for _ in range(100):
                self.wfile.write(bytes(10_000))

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture
def public(monkeypatch):
    monkeypatch.setattr(urls, "is_public", lambda address: True)


def test_a_picture_and_where_it_has_moved(server, public):
    assert fetch(f"{server}/picture") == fetch(f"{server}/there") == b"bytes"


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/none", "the server answers 404"),
        ("/loop", "redirects more than 3 times"),
        ("/file", "redirects to 'file:///etc/passwd', which is not an http or https address"),
        ("/endless", "is larger than 0 MB"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_address(server, public, path, fault):
    with pytest.raises(DataError, match=fault) as caught:
        fetch(f"{server}{path}", max_bytes=100_000)
    assert str(caught.value).startswith(f"{server}{path}: ") and "\n" not in str(caught.value)


def test_nothing_is_fetched_from_a_private_network(server):
    for address in (server, server.replace("127.0.0.1", "localhost"), "http://[::ffff:127.0.0.1]/"):
        with pytest.raises(DataError, match="private network; pictures are only fetched"):
            fetch(f"{address}/picture")


@pytest.mark.parametrize(
    "address", ["http://user:word@example.org/", "http://", "https://no such host/", "http://a:99999/"]
)
def test_addresses_that_are_none(address):
    with pytest.raises(DataError):
        fetch(address)


def test_a_slow_server_is_given_up(server, public):
    with pytest.raises(DataError, match="no answer within"):
        fetch(f"{server}/picture", seconds=0)


@pytest.mark.parametrize(
    ("address", "public_one"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("172.16.3.4", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
    ],
)
def test_which_addresses_are_public(address, public_one):
    assert is_public(address) == public_one
