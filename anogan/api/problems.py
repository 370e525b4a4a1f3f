"""Problems, as RFC 9457 has them: one clear sentence, and nothing of what was sent."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

log = logging.getLogger("anogan.api")
MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """What went wrong (RFC 9457, 3.1)."""

    type: str = Field("about:blank", description="The kind of problem; about:blank: what the status says.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What was wrong and what to do, in one sentence.")


class Problem(HTTPException):
    """Raised anywhere in a request: answers it with this status and this sentence."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers or {}))


def answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response of a problem."""
    details = ProblemDetails(type="about:blank", title=http.HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(details.model_dump(), status, dict(headers or {}), media_type=MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI page says of these statuses."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {status: {"description": http.HTTPStatus(status).phrase, "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Have every fault of an application answered as a problem, and described so."""

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, error: HTTPException) -> JSONResponse:
        detail, headers = error.detail, dict(error.headers or {})
        if error.status_code == 405:  # the router names the methods of the first route that has the path
            routes = [route for route in app.routes if isinstance(route, Route)]
            matching = [route.methods or () for route in routes if route.matches(request.scope)[0] == Match.PARTIAL]
            headers["Allow"] = ", ".join(sorted({method for methods in matching for method in methods}))
        if not isinstance(error, Problem):  # of the router: no such path, no such method
            detail = {404: "there is nothing at this address; see /docs", 405: "this address has no such method"}.get(
                error.status_code, f"the request cannot be read: {detail}"
            )
        return answer(error.status_code, detail, headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Not the values: they are whatever the client sent.
        faults = [f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors()]
        return answer(422, "; ".join(faults))

    @app.exception_handler(Exception)
    async def _failed(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed (%s)", request.method, request.scope.get("path"), type(error).__name__)
        return answer(500, "the server failed at this request; nothing was accepted: send it again later")

    described = app.openapi

    def describe() -> dict[str, Any]:
        document = described()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
        return document

    app.openapi = describe  # type: ignore[method-assign]
