"""A server in a thread of the tests' own process, and a client that sees what a client sees."""

import contextlib
import http.client
import io
import json
import socket
import threading
import time
import uuid
from typing import NamedTuple

import numpy as np
import uvicorn
from PIL import Image

from captioner.serving.model import ServedModel
from captioner.serving.run import _uvicorn_config, bind


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Asks one server."""

    def __init__(self, port):
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, method, path, body=None, headers=None, timeout=600):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def post_json(self, path, content, **headers):
        return self.ask("POST", path, json.dumps(content), {"Content-Type": "application/json", **headers})

    def post_form(self, path, files=(), fields=(), **headers):
        """Post a form: files of (field, file name, bytes), fields of (name, text)."""
        kind, body = form(files, fields)
        return self.ask("POST", path, body, {"Content-Type": kind, **headers})

    def post_picture(self, path, picture, kind="image/png", **headers):
        return self.ask("POST", path, picture, {"Content-Type": kind, **headers})

    def socket(self):
        """Return a bare connection, for clients that misbehave."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


def form(files=(), fields=()):
    """Return the content type and the body of a form."""
    boundary = uuid.uuid4().hex
    body = io.BytesIO()
    for name, text in fields:
        body.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode())
    for name, file, content in files:
        body.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'.encode())
        body.write(b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", body.getvalue()


@contextlib.contextmanager
def serving(app, ready=True):
    """Serve an application; yield its client."""
    bound = bind("127.0.0.1", 0)
    server = uvicorn.Server(_uvicorn_config(app))
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    client = Client(bound.getsockname()[1])
    try:
        until(lambda: server.started or not thread.is_alive())
        if ready:
            until(lambda: client.get("/readyz").status == 200)
        yield client
    finally:
        server.should_exit = True
        thread.join(60)
        bound.close()
        assert not thread.is_alive()


def until(condition, seconds=300):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)


def picture(seed=0, size=(32, 24), format="PNG"):
    """Return an encoded picture of coloured blocks, another for each seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(file, format)
    return file.getvalue()


class Gated(ServedModel):
    """The real model behind a gate: batches wait until it is opened, and are counted."""

    def __init__(self, model):
        super().__init__(model.captioner, model.name)
        self.gate = threading.Event()
        self.batches = []
        self.fail_on = None

    def caption(self, pictures, search, batch):
        blank = len(pictures) == 1 and not np.asarray(pictures[0].pixels).any()
        if not blank:
            self.batches.append(len(pictures))
            assert self.gate.wait(60)
            if self.fail_on is not None and any(np.array_equal(one.pixels, self.fail_on) for one in pictures):
                raise ArithmeticError("this picture is too much for the model")
        return super().caption(pictures, search, batch)
