"""Queue, deadlines, slow clients, bad pictures and the end, over real connections."""

import base64
import contextlib
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from captioner.serving.app import create_app
from tests.serving.conftest import SMALL, make_captioner
from tests.serving.server import Gated, form, picture, serving, until


@pytest.fixture
def gated(model):
    return Gated(model)


def metric(client, name):
    lines = client.get("/metrics").body.decode().splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(name + " ")))


def test_concurrent_requests_share_batches_and_get_their_own_captions(gated, model):
    with serving(create_app(gated, limits=SMALL)) as client, ThreadPoolExecutor(9) as threads:
        first = threads.submit(client.post_picture, "/caption", picture(0))
        until(lambda: gated.batches == [1])
        others = [threads.submit(client.post_picture, "/caption", picture(seed)) for seed in range(1, 9)]
        until(lambda: metric(client, "captioner_queued_pictures") == 8)
        time.sleep(0.2)  # decoded and in the queue, not only counted
        gated.gate.set()
        answers = [one.result() for one in (first, *others)]
    own = [model.captioner.caption_batch([picture(seed)])[0][0].text for seed in range(9)]
    assert [answer.json["caption"] for answer in answers] == own
    assert sum(gated.batches) == 9 and len(gated.batches) <= 4 and max(gated.batches) == 4


def test_a_full_queue_answers_503_and_loses_nobody(gated):
    with serving(create_app(gated, limits=replace(SMALL, queue=4))) as client, ThreadPoolExecutor(40) as threads:
        first = threads.submit(client.post_picture, "/caption", picture())
        until(lambda: gated.batches == [1])
        asked = [threads.submit(client.post_picture, "/caption", picture()) for _ in range(39)]
        until(lambda: sum(one.done() for one in asked) == 35)
        gated.gate.set()
        answers = [first.result(), *(one.result() for one in asked)]
    statuses = [answer.status for answer in answers]
    assert statuses.count(200) == 5 and statuses.count(503) == 35
    refused = next(answer for answer in answers if answer.status == 503)
    assert int(refused.headers["retry-after"]) >= 1 and "queue is full" in refused.json["error"]


def test_more_pictures_than_the_queue_ever_takes(model):
    with serving(create_app(model, limits=replace(SMALL, queue=4))) as client:
        answer = client.post_form("/captions", [("file", "x", picture())] * 5)
        assert answer.status == 413 and "send up to 4" in answer.json["error"]
        assert client.post_form("/captions", [("file", "x", picture())] * 4).status == 200


def test_the_deadline(gated):
    with serving(create_app(gated, limits=replace(SMALL, deadline=0.3))) as client:
        answer = client.post_picture("/caption", picture())
        assert answer.status == 504 and "no answer within 0.3 s" in answer.json["error"]
        late = client.post_picture("/caption", picture(1))
        assert late.status == 504
        gated.gate.set()
        until(lambda: metric(client, "captioner_queued_pictures") == 0)
        assert gated.batches == [1]  # nobody waited any more for the second
        assert client.post_picture("/caption", picture()).status == 200


def test_a_picture_that_the_model_fails_on_harms_no_other(gated, caplog):
    gated.fail_on = gated.prepare(picture(2), 10**6).pixels
    with serving(create_app(gated, limits=SMALL)) as client, ThreadPoolExecutor(4) as threads:
        first = threads.submit(client.post_picture, "/caption", picture())
        until(lambda: gated.batches == [1])
        asked = [threads.submit(client.post_picture, "/caption", picture(seed)) for seed in (1, 2, 3)]
        until(lambda: metric(client, "captioner_queued_pictures") == 3)
        time.sleep(0.2)
        gated.gate.set()
        answers = [one.result() for one in (first, *asked)]
    assert [answer.status for answer in answers] == [200, 200, 500, 200]
    assert "Traceback" not in answers[2].json["error"]
    assert "too much for the model" in caplog.text


def test_large_uploads_are_refused_before_they_are_held(model):
    limits = replace(SMALL, picture_bytes=2000, body_bytes=5000)
    with serving(create_app(model, limits=limits)) as client:
        assert client.post_picture("/caption", bytes(4000)).status == 413
        at_once = client.post_picture("/caption", bytes(15000))
        assert at_once.status == 413 and "larger than" in at_once.json["error"]
        in_base64 = client.post_json("/caption", {"image": base64.b64encode(bytes(3000)).decode()})
        assert in_base64.status == 413 and "the picture is larger" in in_base64.json["error"]
        with client.socket() as connection:  # no length, and no end
            connection.sendall(b"POST /caption HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            with contextlib.suppress(ConnectionError):  # the server may close while the client still sends
                for _ in range(2000):
                    connection.sendall(b"400\r\n" + bytes(1024) + b"\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 413")
        with client.socket() as connection:  # a client that asks first is told before it sends
            head = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head)
            assert connection.recv(100).startswith(b"HTTP/1.1 413")
        assert client.post_picture("/caption", picture()).status == 200


def png(width, height):
    """Return a small PNG that claims to be large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def test_a_small_file_of_very_many_pixels(client):
    for side in (30000, 2**31 - 1):
        answer = client.post_picture("/caption", png(side, side))
        assert answer.status == 413 and "pixels" in answer.json["error"], answer


def test_slow_clients_block_nobody_and_are_sent_away(model):
    with serving(create_app(model, limits=replace(SMALL, reading=1.0))) as client:
        slow = [client.socket() for _ in range(50)]
        for index, connection in enumerate(slow):
            head = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            connection.sendall(head + (b"Content-Length: 5000\r\n\r\nx" if index % 2 else b""))
        assert client.post_picture("/caption", picture()).status == 200
        assert slow[1].recv(100).startswith(b"HTTP/1.1 408")
        for connection in slow:
            connection.close()


def test_a_client_that_goes_away_harms_nobody(client):
    kind, body = form([("file", "x.png", picture())])
    for _ in range(5):
        with client.socket() as connection:
            head = f"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[: len(body) // 2])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert client.post_picture("/caption", picture()).status == 200


def test_the_end_waits_for_what_was_accepted(gated):
    with ThreadPoolExecutor(8) as threads:
        with serving(create_app(gated, limits=SMALL)) as client:
            asked = [threads.submit(client.post_picture, "/caption", picture(seed)) for seed in range(8)]
            until(lambda: metric(client, "captioner_queued_pictures") + sum(gated.batches) == 8)
            threading.Timer(0.5, gated.gate.set).start()
        assert [one.result().status for one in asked] == [200] * 8


def test_nothing_reaches_the_disk(model, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with serving(create_app(model, limits=SMALL)) as client:
        large = picture(0, (1500, 1500), "BMP")
        assert len(large) > 2**22
        assert client.post_form("/caption", [("file", "../../a/b.bmp", large)]).status == 200
        assert client.post_form("/caption", [("file", "x\x00y.bmp", large)]).status == 200
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_server_does_not_log_that_pictures_are_unlike_the_training(tiny_encoder, said):
    """It prepares itself with black ones, and would not say whose picture it was."""
    captioner = make_captioner()
    captioner.familiarity = SimpleNamespace(unlike=lambda features: np.ones(len(features), bool))
    with serving(create_app(captioner, limits=SMALL)) as client:
        assert client.post_picture("/caption", picture()).status == 200
    assert not [line for line in said if "unlike" in line]
    captioner.tells_of_unlike = True
    captioner.caption(picture())
    assert [line for line in said if "unlike" in line], "or nothing is tested"
