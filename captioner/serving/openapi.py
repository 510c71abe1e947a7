"""The API's OpenAPI 3.1 description."""

from __future__ import annotations

from typing import Any

from captioner import __version__
from captioner.serving.limits import Limits
from captioner.serving.options import NAMES, PROMPT_CHARACTERS
from captioner.text.styles import STYLES

Schema = dict[str, Any]

_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_BASE64: Schema = {"type": "string", "description": "A picture in base64, or a data: URL."}
_OLLAMA_OPTIONS: Schema = {
    "model": {"type": "string"},
    "stream": {"type": ["boolean", "null"], "default": True},
}


def describe_api(limits: Limits, model: str, prompt: str, with_token: bool) -> Schema:
    """Return the description.

    Args:
        limits: what the server accepts.
        model: the model's name.
        prompt: the model's default prompt; empty if it does not support prompts.
        with_token: whether requests need a token.
    """
    described: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "captioner",
            "version": __version__,
            "description": f"Caption pictures with the model {model}.",
        },
        "paths": _paths(limits, prompt),
        "components": {"schemas": _schemas()},
    }
    if with_token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _options(limits: Limits, prompt: str) -> dict[str, Schema]:
    count: Schema = {"type": "integer", "minimum": 1, "maximum": limits.captions}
    asked: Schema = {
        "type": "string",
        "maxLength": PROMPT_CHARACTERS,
        "default": prompt,
        "description": "Prompt for the model.",
    }
    return {
        "n": {**count, "default": 1, "description": "Captions per picture, best first."},
        "beam_size": {**count, "description": "Hypotheses kept per picture (default: the model's own)."},
        "style": {
            "type": "string",
            "enum": list(STYLES),
            "description": "plain: the model's words; sentence: with capital letter and full stop; alt: alternative "
            "text of at most 125 characters.",
        },
        "attention": {
            "type": "boolean",
            "default": False,
            "description": "Also return each word's attention over the picture's regions, if the model has attention.",
        },
        **({"prompt": asked} if prompt else {}),
    }


def _paths(limits: Limits, prompt: str) -> Schema:
    options = _options(limits, prompt)
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": options[name]} for name in NAMES if name in options
    ]
    one = {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}, **options},
                "required": ["file"],
            }
        },
        "application/json": {
            "schema": {"type": "object", "properties": {"image": _BASE64, **options}, "required": ["image"]}
        },
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }
    files: Schema = {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": limits.pictures}
    images: Schema = {"type": "array", "items": _BASE64, "minItems": 1, "maxItems": limits.pictures}
    several = {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": files, **options}, "required": ["file"]}
        },
        "application/json": {
            "schema": {"type": "object", "properties": {"images": images, **options}, "required": ["images"]}
        },
    }
    return {
        "/caption": {"post": _post("Caption a picture", "Captioned", one, parameters)},
        "/captions": {"post": _post("Caption several pictures", "Several", several, parameters)},
        "/model": {"get": _get("The model, its options and limits", "Model")},
        "/healthz": {"get": _get("Whether the process is alive", "Status", closed=False)},
        "/readyz": {"get": _get("Whether the model is compiled", "Status", closed=False, others=("503",))},
        "/metrics": {
            "get": {
                "summary": "Metrics for Prometheus",
                "responses": {
                    "200": {
                        "description": "Text in Prometheus' format",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    },
                    "401": _error("A token is required"),
                },
            }
        },
        "/describe": {"post": _post("Describe a picture for screen readers", "Described", _json("DescribeRequest"))},
        "/api/tags": {"get": _get("Ollama: list the models", "Tags")},
        "/api/version": {"get": _get("Ollama: the version", "Version")},
        "/api/show": {
            "post": _post("Ollama: the model's capabilities", "Shown", _json("ShowRequest"), others=("404",))
        },
        "/api/generate": {
            "post": _post(
                "Ollama: caption a picture", "Generated", _json("GenerateRequest"), others=("404",), lines=True
            )
        },
        "/api/chat": {
            "post": _post(
                "Ollama: caption the picture of a chat", "Chatted", _json("ChatRequest"), others=("404",), lines=True
            )
        },
    }


_REASONS = {
    "400": "The request is malformed, or the picture is broken",
    "401": "A token is required",
    "404": "The model does not exist",
    "408": "The request was too slow",
    "413": "Too many bytes, pixels or pictures",
    "415": "Not a picture",
    "503": "The queue is full; Retry-After says when to try again",
    "504": "No response within the deadline",
}


def _error(reason: str) -> Schema:
    return {"description": reason, "content": {"application/json": {"schema": _reference("Error")}}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": _reference(name)}}


def _get(summary: str, answer: str, closed: bool = True, others: tuple[str, ...] = ()) -> Schema:
    responses: Schema = {"200": {"description": "Good", "content": _json(answer)}}
    for status in others:
        responses[status] = {"description": _REASONS[status], "content": _json(answer)}
    if closed:
        responses["401"] = _error(_REASONS["401"])
        return {"summary": summary, "responses": responses}
    return {"summary": summary, "responses": responses, "security": []}


def _post(
    summary: str,
    answer: str,
    content: Schema,
    parameters: list[Schema] | None = None,
    others: tuple[str, ...] = (),
    lines: bool = False,
) -> Schema:
    good: Schema = _json(answer)
    if lines:
        good["application/x-ndjson"] = {"schema": {"type": "string"}}
    statuses = sorted({"400", "401", "408", "413", "415", "503", "504", *others})
    return {
        "summary": summary,
        "parameters": parameters or [],
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "Good", "content": good},
            **{status: _error(_REASONS[status]) for status in statuses},
        },
    }


def _object(required: list[str] | None = None, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required}


def _schemas() -> Schema:
    text: Schema = {"type": "string"}
    attention = _object(
        columns={"type": "integer", "description": "Regions in a row."},
        box={
            "type": "array",
            "items": {"type": "number"},
            "description": "Area of the regions: left, top, width, height, as fractions of the picture's size.",
        },
        weights={
            "type": "array",
            "items": {"type": "array", "items": {"type": "number"}},
            "description": "One list per word: its weight on each region, row by row.",
        },
    )
    caption = _object(
        ["caption", "confidence", "log_prob", "tokens"],
        caption=text,
        confidence={**_NUMBER_OR_NULL, "description": "0 to 1; null if the model was not calibrated."},
        log_prob=_NUMBER_OR_NULL,
        tokens={"type": "array", "items": text},
        attention={"oneOf": [attention, {"type": "null"}]},
    )
    captioned = _object(
        caption={**text, "description": "The best caption."},
        confidence=_NUMBER_OR_NULL,
        captions={"type": "array", "items": _reference("Caption")},
        model=text,
    )
    failed = _object(file={"type": ["string", "null"]}, error=text, status={"type": "integer"})
    images: Schema = {"type": ["array", "null"], "items": _BASE64}
    message = _object(["role"], role=text, content=text, images=images)
    return {
        "Error": _object(error=text),
        "Status": _object(status=text),
        "Caption": caption,
        "Captioned": captioned,
        "Several": _object(results={"type": "array", "items": {"anyOf": [_reference("Captioned"), failed]}}),
        "Model": _object(
            ["name", "runtime", "attention", "prompt", "styles", "limits", "version"],
            name=text,
            runtime={"type": "string", "enum": ["keras", "onnxruntime"]},
            attention={"type": "boolean"},
            prompt={
                "type": ["string", "null"],
                "description": "The default prompt; null if prompts are not supported.",
            },
            styles={"type": "array", "items": text},
            limits={"type": "object"},
            version=text,
        ),
        "DescribeRequest": _object(["image_b64"], image_b64=_BASE64, task=text),
        "Described": _object(description=text),
        "Tags": _object(models={"type": "array", "items": {"type": "object"}}),
        "Version": _object(version=text),
        "ShowRequest": _object([], model=text, name=text),
        "Shown": _object(["capabilities"], capabilities={"type": "array", "items": text}),
        "GenerateRequest": _object(["model"], **_OLLAMA_OPTIONS, prompt=text, images=images),
        "Generated": _object(
            ["model", "created_at", "response", "done"],
            model=text,
            created_at=text,
            response=text,
            done={"type": "boolean"},
        ),
        "ChatRequest": _object(["model", "messages"], **_OLLAMA_OPTIONS, messages={"type": "array", "items": message}),
        "Chatted": _object(
            ["model", "created_at", "message", "done"],
            model=text,
            created_at=text,
            message={"type": "object"},
            done={"type": "boolean"},
        ),
    }
