"""A real HTTP server on this machine that serves bytes, and misbehaves as it is told."""

import contextlib
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """What is served and how.

    Attributes:
        files: path -> bytes.
        ranges: whether requests for the rest of a file are answered with it.
        break_after: bytes of an answer's body after which the connection is cut, in turn; then none.
        claims: bytes added to the Content-Length that is told.
        total: bytes added to the length of the whole file that a Content-Range tells.
        shift: bytes by which an answer to a range begins too early.
        errors: status codes that are answered first, in turn.
        etag: the version of the files; None tells none.
        redirect: where every request is sent on to.
        chunked: tell no length at all.
    """

    def __init__(self, files):
        self.files = {f"/{name}": data for name, data in files.items()}
        self.ranges, self.break_after, self.claims, self.total, self.shift = True, [], 0, 0, 0
        self.errors, self.etag, self.redirect, self.chunked = [], '"1"', None, False
        self.asked = []
        self.counts = Counter()


@contextlib.contextmanager
def serve(files):
    """Yield a Server and its address."""
    state = Server(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            state.asked.append((self.path, self.headers.get("Range")))
            self.close_connection = True
            if state.redirect is not None:
                self.reply(302, b"", Location=state.redirect)
            elif state.errors:
                self.reply(state.errors.pop(0), b"no")
            elif self.path not in state.files:
                self.reply(404, b"not here")
            else:
                self.send_file(state.files[self.path])

        def send_file(self, data):
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            changed = self.headers.get("If-Range") not in (None, state.etag)
            if wanted is None or not state.ranges or changed:
                self.reply(200, data)
                return
            start = int(wanted[1])
            if start >= len(data):
                self.reply(416, b"", **{"Content-Range": f"bytes */{len(data) + state.total}"})
                return
            start -= state.shift
            total = len(data) + state.total
            self.reply(206, data[start:], **{"Content-Range": f"bytes {start}-{len(data) - 1}/{total}"})

        def reply(self, status, body, **headers):
            state.counts[status] += 1
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status in (200, 206) and state.etag is not None:
                self.send_header("ETag", state.etag)
            if not state.chunked:
                self.send_header("Content-Length", str(len(body) + state.claims))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body[: state.break_after.pop(0)] if state.break_after and status in (200, 206) else body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
