"""The routes of the API."""

# No `from __future__ import annotations`: FastAPI reads annotations that name what is local to `create_app`.

import asyncio
import contextlib
import datetime
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import anyio
from fastapi import Depends, FastAPI, Header, Path, Request, Response
from fastapi.responses import FileResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from anogan._version import __version__
from anogan.api import problems
from anogan.api.batching import Batcher, Full
from anogan.api.erasing import Elsewhere
from anogan.api.guard import Guard
from anogan.api.keys import Key, Keys, require
from anogan.api.metrics import Metrics
from anogan.api.problems import Problem
from anogan.api.screening import Screener, Screening, Sent
from anogan.api.verdict import Decision

log = logging.getLogger("anogan.api")
_REFERENCE = "^[ -~]{1,128}$"  # and a group
_ID = "^[0-9a-f]{16}$"


@dataclass(frozen=True)
class Settings:
    """How the server works.

    Attributes
    ----------
    hosts
        Names by which it may be asked.
    most_bytes
        Longest request.
    body_seconds
        How long a client may take to send one.
    batch, wait, places
        As in `anogan.api.batching.Batcher`.
    keep_days
        After so many days a screening is erased, unless it is still to be decided on the desk; None: it is kept.
    """

    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    most_bytes: int = 20_000_000
    body_seconds: float = 30.0
    batch: int = 16
    wait: float = 0.02
    places: int = 64
    keep_days: float | None = None


class LinkAnswer(BaseModel):
    """What a photo shares with one of another application: a reason to look, not a proof."""

    screening: str = Field(pattern="^/v1/screenings/[0-9a-f]{16}$", description="Where the other one is.")
    what: Literal["photo", "face", "background"]
    words: str = Field(description="The finding as a phrase.")
    distance: float = Field(description="0: alike, 0.5: unrelated.")


class ScreeningAnswer(BaseModel):
    """What was found in a photo. Decision support: a person decides on what is not passed."""

    id: str = Field(pattern=_ID)
    created: datetime.datetime
    status: Literal["scored", "not scored"]
    decision: Decision = Field(
        description="pass: calibrated and not flagged. review: flagged, or a person must decide. not scored: it cannot "
        "be judged. not decided: there is no operating point that holds. All but pass are in the review queue."
    )
    reasons: list[str] = Field(description="Sentences.")
    score: float | None = Field(description="Higher is more unusual.")
    p_value: float | None = Field(description="Share of genuine photos that are expected to score as high.")
    reference: str | None = Field(description="The client's own.")
    group: str | None = Field(description="Whose operating point decides, as the client said.")
    detector: str = Field(description="Name and hash.")
    heat_map: str | None = Field(description="Where the heat map is; none of what was not scored.")
    links: list[LinkAnswer] = Field(
        description="Other applications of the same client, screened before, that share something with this photo; the "
        "nearest 20. They decide nothing. Photos of one reference are of one application."
    )

    @classmethod
    def of(cls, screening: Screening) -> Self:
        """Return how a screening is answered."""
        place = f"/v1/screenings/{screening.id}/heatmap" if screening.status == "scored" else None
        links = [vars(link) | {"screening": f"/v1/screenings/{link.other}"} for link in screening.links]
        given = {"reference": screening.reference or None, "group": screening.group or None, "heat_map": place}
        return cls.model_validate(vars(screening) | given | {"links": links})


class Health(BaseModel):
    """The server's state."""

    status: Literal["ok"] = "ok"


_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {
                    "image": {"type": "string", "format": "binary", "description": "A PNG, JPEG or TIFF."},
                    "reference": {"type": "string", "pattern": _REFERENCE, "description": "The client's own name."},
                    "group": {
                        "type": "string",
                        "pattern": _REFERENCE,
                        "description": "The photo's site or scanner, where the detector was calibrated for each.",
                    },
                },
            },
            "encoding": {"image": {"contentType": "image/png, image/jpeg, image/tiff"}},
        }
    },
}
_Number = Annotated[str, Path(pattern=_ID, description="The id of a screening.")]
_Idempotency = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,128}$",
        description="The same key with the same photo, reference and group gives the same answer, no second screening.",
    ),
]


def create_app(screener: Screener, keys: Keys, settings: Settings | None = None) -> FastAPI:
    """Return the API over a screener.

    Judging starts and stops with the application's lifespan, and what a killed server had begun is finished then.
    """
    settings, metrics = settings or Settings(), Metrics()
    batcher = Batcher(screener.judge, settings.batch, settings.wait, settings.places, metrics.batch.observe)
    metrics.inside.set_function(lambda: batcher.taken)
    screener.undelivered = metrics.undelivered.inc

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        screener.recover()
        batcher.start()
        retiring = None if settings.keep_days is None else asyncio.create_task(_retire(screener, settings.keep_days))
        try:
            yield
        finally:
            if retiring is not None:
                retiring.cancel()
                await asyncio.wait([retiring])
            batcher.close()
            screener.close()

    app = FastAPIOffline(
        redoc_url=None,
        title="anogan",
        version=__version__,
        description="Photos in, judged without ever having seen a fake. Decision support, not a decision.",
        lifespan=lifespan,
    )
    problems.install(app)
    app.add_middleware(
        Guard,
        hosts=settings.hosts,
        most_bytes=settings.most_bytes,
        metrics=metrics,
        most_requests=4 * settings.places + 64,  # the places bound the photos among them
    )
    allowed = _door(keys)

    @app.post(
        "/v1/screenings",
        status_code=201,
        response_model=ScreeningAnswer,
        responses=problems.responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503),
        openapi_extra={"requestBody": _FORM},
        tags=["screenings"],
    )
    async def screen(
        request: Request,
        response: Response,
        key: Annotated[Key, Depends(allowed("screen"))],
        idempotency: _Idempotency = None,
    ) -> ScreeningAnswer:
        """Judge a photo. It is kept, and in the review queue where a person must see it, before this answers."""
        try:
            place = batcher.place()
        except Full:
            raise Problem(503, "too many photos at once; send it again in a moment", {"Retry-After": "1"}) from None
        with place:
            try:
                async with asyncio.timeout(settings.body_seconds):
                    sent = Sent(key.id, *await _form(request), idempotency or "", key.name)
            except TimeoutError:
                raise Problem(408, "the photo came too slowly; send it again", {"Connection": "close"}) from None
            except ClientDisconnect:  # nobody reads the answer, but it is no fault of the server in the log and figures
                raise Problem(400, "the connection ended before the photo did; send it again") from None
            screening, before = await screener.screen(sent, place)
        if before:
            response.headers["Idempotency-Replayed"] = "true"
        else:
            metrics.screenings.labels(screening.decision).inc()
        response.headers["Location"] = f"/v1/screenings/{screening.id}"
        return ScreeningAnswer.of(screening)

    @app.get(
        "/v1/screenings/{number}",
        response_model=ScreeningAnswer,
        responses=problems.responses(400, 401, 403, 404, 422, 429, 500),
        tags=["screenings"],
    )
    def read(number: _Number, key: Annotated[Key, Depends(allowed("read"))]) -> ScreeningAnswer:
        """Return what was found in a photo that the key's client has sent."""
        return ScreeningAnswer.of(_found(screener, number, key))

    @app.delete(
        "/v1/screenings/{number}",
        status_code=204,
        response_class=Response,
        responses=problems.responses(400, 401, 403, 404, 409, 422, 429, 500, 503),
        tags=["screenings"],
    )
    def erase(number: _Number, key: Annotated[Key, Depends(allowed("erase"))]) -> None:
        """Erase a screening of the key's client: pictures, prints, its links and its case in the review queue."""
        _found(screener, number, key)
        try:
            screener.erase(number)
        except Elsewhere as error:
            raise Problem(409, str(error)) from None
        except ValueError:
            raise Problem(
                503, "screenings cannot be erased at the moment; ask again later", {"Retry-After": "60"}
            ) from None

    @app.get(
        "/v1/screenings/{number}/heatmap",
        response_class=FileResponse,
        responses={
            200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
            **problems.responses(400, 401, 403, 404, 422, 429, 500),
        },
        tags=["screenings"],
    )
    def heat_map(number: _Number, key: Annotated[Key, Depends(allowed("read"))]) -> FileResponse:
        """Return where a photo differs: drawn over it, on one scale for all photos, as PNG."""
        if _found(screener, number, key).status != "scored":
            raise Problem(404, "the photo was not scored, so there is no heat map")
        path = screener.heat_map(number)
        if not path.is_file():
            raise Problem(404, "the heat map is no longer kept")
        return FileResponse(path, media_type="image/png")

    @app.get("/healthz", response_model=Health, responses=problems.responses(400), tags=["operation"])
    async def health() -> Health:
        """Tell that the server lives."""
        return Health()

    @app.get("/readyz", response_model=Health, responses=problems.responses(400, 503), tags=["operation"])
    def ready() -> Health:
        """Tell whether photos can be screened now: somebody judges, and the database answers."""
        try:
            if batcher.alive and screener.ready():
                return Health()
        except SQLAlchemyError:
            pass
        raise Problem(503, "photos cannot be screened at the moment", {"Retry-After": "5"})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems.responses(400, 401, 403, 429),
        },
        dependencies=[Depends(allowed("metrics"))],
        tags=["operation"],
    )
    def figures() -> Response:
        """Return counts and times of all clients in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return app


def _door(keys: Keys) -> Callable[[str], Callable[..., Key]]:
    """Return what makes the dependency of a route from the scope that it needs."""
    bearer = HTTPBearer(auto_error=False, description="A key of `anogan key create`.")

    def allowed(scope: str) -> Callable[..., Key]:
        def check(presented: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> Key:
            key = keys.verify(presented.credentials) if presented is not None else None
            if key is None:
                raise Problem(
                    401,
                    "send a valid API key as `Authorization: Bearer KEY`; `anogan key create` makes one",
                    {"WWW-Authenticate": "Bearer"},
                )
            if wait := keys.spend(key):
                raise Problem(429, f"this key may ask {key.rate}; ask again in {wait} s", {"Retry-After": str(wait)})
            if refusal := require(key, scope):
                raise Problem(403, refusal)
            return key

        return check

    return allowed


def _found(screener: Screener, number: str, key: Key) -> Screening:
    screening = screener.find(number, key.client)
    if screening is None:  # also where it is another client's: who may not read it learns nothing of it
        raise Problem(404, "there is no such screening")
    return screening


async def _retire(screener: Screener, days: float) -> None:
    """Erase what is older, now and every hour."""
    while True:
        try:
            await anyio.to_thread.run_sync(screener.retire, days)
        except Exception as error:  # tried again
            log.error("old screenings cannot be erased at the moment (%s)", type(error).__name__)
        await asyncio.sleep(3600)


async def _form(request: Request) -> tuple[bytes, str, str]:
    """Return photo, reference and group; read only now, when the key is known to be good."""
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Problem(415, "send the photo as multipart/form-data, in a field named image")
    async with request.form(max_files=1, max_fields=2, max_part_size=1024) as form:
        fields: dict[str, Any] = dict(form.multi_items())
        most = len(form.multi_items())
        photo, words = fields.pop("image", None), {name: fields.pop(name, None) for name in ("reference", "group")}
        if fields or most > sum(value is not None for value in (photo, *words.values())):
            raise Problem(422, "send the fields image, reference and group, each once, and no others")
        if not isinstance(photo, UploadFile):
            raise Problem(422, "image: is missing; send the photo as a file in a field named image")
        for name, word in words.items():
            if not (word is None or (isinstance(word, str) and re.fullmatch(_REFERENCE, word))):
                raise Problem(422, f"{name}: expected 1 to 128 printable ASCII characters")
        data = await photo.read()
    if not data:
        raise Problem(422, "image: is empty; send a photo")
    return data, words["reference"] or "", words["group"] or ""
