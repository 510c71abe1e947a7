"""Ollama's API, which photo libraries use: `/api/tags`, `/api/chat` and `/api/generate` with `images`.

Prompts are only used by KerasHub models that accept them, and only with a picture; other models caption the picture,
whatever the prompt says. Other requests (a chat without a picture, JSON by a schema, tools) are refused in Ollama's
format, `{"error": ...}`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from captioner import __version__
from captioner.serving.bodies import BodyReader
from captioner.serving.forms import decode_base64, parse_json
from captioner.serving.options import Options, read_prompt
from captioner.serving.refusal import RefusalError
from captioner.serving.replies import best_text
from captioner.serving.service import CaptionService
from captioner.text.styles import Style

TAG = ":latest"
STYLE: Style = "sentence"  # because such programs show the text unchanged

_CAPTIONS_ONLY = "this server only captions pictures"


class Ollama:
    """The endpoints.

    Args:
        service: the caption service.
        bodies: the reader of request bodies.
    """

    def __init__(self, service: CaptionService, bodies: BodyReader) -> None:
        self.service, self.bodies = service, bodies
        self.name = service.model.name
        self.started = _now()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/tags", self.tags, methods=["GET"]),
            Route("/api/version", self.version, methods=["GET"]),
            Route("/api/show", self.show, methods=["POST"]),
            Route("/api/generate", self.generate, methods=["POST"]),
            Route("/api/chat", self.chat, methods=["POST"]),
        ]

    async def tags(self, request: Request) -> Response:
        """List the model."""
        name = self.name + TAG
        entry = {
            "name": name,
            "model": name,
            "modified_at": self.started,
            "size": 4 * self.service.model.describe()["weights"],
            "digest": hashlib.sha256(name.encode()).hexdigest(),
            "details": self._details(),
        }
        return JSONResponse({"models": [entry]})

    async def version(self, request: Request) -> Response:
        """Return the version."""
        return JSONResponse({"version": __version__})

    async def show(self, request: Request) -> Response:
        """Return the model's details and capabilities."""
        content = await self.service.in_thread(parse_json, await self.bodies.read(request))
        self._require_model(content.get("model") or content.get("name"))
        return JSONResponse({"details": self._details(), "model_info": {}, "capabilities": ["completion", "vision"]})

    async def generate(self, request: Request) -> Response:
        """Caption the pictures of a request."""
        began = time.perf_counter_ns()
        content = await self._read(request)
        images = content.get("images")
        if not images:
            if content.get("prompt"):
                raise RefusalError(400, f"{_CAPTIONS_ONLY}; send a picture in images")
            return self._answer(content, [{"response": "", **_no_picture(content)}])
        text = await self._caption(images, content.get("prompt"))
        parts = [{"response": text, "done": False}, {"response": "", "done": True, **_end(text, began)}]
        return self._answer(content, parts, "response")

    async def chat(self, request: Request) -> Response:
        """Caption the pictures of the last message with pictures."""
        began = time.perf_counter_ns()
        content = await self._read(request)
        messages = content.get("messages")
        if messages is not None and not (isinstance(messages, list) and all(isinstance(one, dict) for one in messages)):
            raise RefusalError(400, "messages: must be a list of messages")
        if not messages:
            return self._answer(content, [{"message": _message(""), **_no_picture(content)}])
        pictured = next((one for one in reversed(messages) if one.get("images")), None)
        if pictured is None:
            raise RefusalError(400, f"{_CAPTIONS_ONLY}; send a picture in the message's images")
        text = await self._caption(pictured["images"], pictured.get("content"))
        parts = [
            {"message": _message(text), "done": False},
            {"message": _message(""), "done": True, **_end(text, began)},
        ]
        return self._answer(content, parts, "message")

    async def _read(self, request: Request) -> dict[str, Any]:
        content = await self.service.in_thread(parse_json, await self.bodies.read(request))
        self._require_model(content.get("model"))
        for field, wants in (("format", "an answer by a schema"), ("tools", "tools"), ("suffix", "insertion")):
            if content.get(field):
                raise RefusalError(400, f"{field}: {self.name} does not support {wants}; {_CAPTIONS_ONLY}")
        if not isinstance(content.get("stream", True), bool | None):
            raise RefusalError(400, "stream: must be true or false")
        return content

    def _require_model(self, name: Any) -> None:
        if not isinstance(name, str) or not name:
            raise RefusalError(400, "model is required")
        if name.removesuffix(TAG) != self.name:
            raise RefusalError(404, f"model '{name[:100]}' not found; this server has {self.name}")

    async def _caption(self, images: Any, prompt: Any) -> str:
        """Return the captions of pictures in base64, one per line."""
        if not isinstance(images, list):
            raise RefusalError(400, "images: must be a list of pictures in base64")
        if len(images) > self.service.limits.pictures:
            raise RefusalError(
                413, f"images: {len(images)} are too many for one request; send up to {self.service.limits.pictures}"
            )
        pictures = [await self.service.in_thread(decode_base64, image) for image in images]
        asked = read_prompt(prompt) if self.service.model.prompt else ""
        options = Options(style=STYLE, prompt=asked)
        lines = []
        for found in await self.service.caption(pictures, options):
            if isinstance(found, RefusalError):
                raise found
            lines.append(best_text(found, options))
        return "\n".join(lines)

    def _answer(self, content: dict[str, Any], parts: list[dict[str, Any]], text: str = "") -> Response:
        """Return the parts as lines of JSON, or combined if the client does not want a stream."""
        stamped = [{"model": content["model"], "created_at": _now(), **part} for part in parts]
        if content.get("stream", True) is not False:
            return StreamingResponse(_lines(stamped), media_type="application/x-ndjson")
        whole = stamped[-1]
        if text:
            whole[text] = stamped[0][text]
        return JSONResponse(whole)

    def _details(self) -> dict[str, Any]:
        described = self.service.model.describe()
        return {
            "parent_model": "",
            "format": "keras",
            "family": "captioner",
            "families": ["captioner"],
            "parameter_size": f"{described['weights'] / 1e6:.1f}M",
            "quantization_level": "F32",
        }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _message(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _no_picture(content: dict[str, Any]) -> dict[str, Any]:
    """Return the end of the response to a program that only wants to load or unload the model."""
    return {"done": True, "done_reason": "unload" if content.get("keep_alive") in (0, "0", "0s") else "load"}


def _end(text: str, began: int) -> dict[str, Any]:
    """Return the statistics at the end of a response; durations are in nanoseconds."""
    elapsed = time.perf_counter_ns() - began
    return {
        "done_reason": "stop",
        "total_duration": elapsed,
        "load_duration": 0,
        "prompt_eval_count": 0,
        "prompt_eval_duration": 0,
        "eval_count": len(text.split()),
        "eval_duration": elapsed,
    }


def _lines(parts: list[dict[str, Any]]) -> Iterator[bytes]:
    for part in parts:
        yield json.dumps(part, ensure_ascii=False).encode() + b"\n"
