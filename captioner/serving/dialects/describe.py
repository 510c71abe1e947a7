"""The protocol of screen readers: `POST /describe {"image_b64": ..., "task": ...}` -> `{"description": ...}`."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from captioner.serving.bodies import BodyReader
from captioner.serving.forms import decode_base64, parse_json
from captioner.serving.options import Options
from captioner.serving.refusal import RefusalError
from captioner.serving.replies import best_text
from captioner.serving.service import CaptionService

_CAPTIONING = re.compile(r"caption|descri|\balt\b|alt[ _-]?text", re.IGNORECASE)


class Describe:
    """The endpoint.

    Args:
        service: the caption service.
        bodies: the reader of request bodies.
    """

    def __init__(self, service: CaptionService, bodies: BodyReader) -> None:
        self.service, self.bodies = service, bodies

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/describe", self.describe, methods=["POST"])]

    async def describe(self, request: Request) -> Response:
        """Describe a picture in one sentence.

        Every `task` that means captioning is accepted (`caption`, `<DETAILED_CAPTION>`, `describe`). Others, such as
        reading text, are refused, because the model would invent an answer.
        """
        content = await self.service.in_thread(parse_json, await self.bodies.read(request))
        task = content.get("task")
        if task is not None and not (isinstance(task, str) and (not task.strip() or _CAPTIONING.search(task))):
            raise RefusalError(400, "task: this server only captions pictures; send caption")
        if "image_b64" not in content:
            raise RefusalError(400, "image_b64: missing; send the picture in base64")
        picture = await self.service.in_thread(decode_base64, content["image_b64"])
        options = Options(style="sentence")
        (found,) = await self.service.caption([picture], options)
        if isinstance(found, RefusalError):
            raise found
        return JSONResponse({"description": best_text(found, options)})
