"""The HTTP application: ``/verify``, ``/healthz``, ``/metrics``, and the page at ``/``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from importlib.resources import files
from typing import Any, Final, TypeVar

from fastapi import FastAPI, HTTPException, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.routing import Route
from starlette.types import Receive

import candor
from candor.errors import CandorError, QueueFullError
from candor.report.rendering import stylesheet
from candor.serve.batcher import Batcher, Question
from candor.serve.guard import CLIENT_GONE, Guard, json_response
from candor.serve.metrics import Metrics
from candor.serve.schemas import MAX_SENTENCES, Answer, Health, Problem
from candor.serve.schemas import Question as QuestionBody
from candor.serve.settings import Settings
from candor.verifier import Verifier

OPEN: Final = frozenset({"/", "/page.css", "/page.js", "/healthz"})
"""Paths that are read without the token; they tell nothing that a claim or an answer is part of."""

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Problem, "description": "The body is no JSON."},
    401: {"model": Problem, "description": "The token is missing or wrong."},
    408: {"model": Problem, "description": "The request did not arrive in time."},
    413: {"model": Problem, "description": "The request is too large."},
    421: {"model": Problem, "description": "The request calls the service by a name that is not its own."},
    422: {"model": Problem, "description": "The claim or its evidence cannot be used; says why."},
    429: {"model": Problem, "description": "Too many claims are waiting; try again in a moment."},
    500: {"model": Problem, "description": "Something broke in the service; its log says what."},
    504: {"model": Problem, "description": "The model did not come to the claim in time."},
}


def create_app(verifier: Verifier, settings: Settings | None = None, metrics: Metrics | None = None) -> FastAPI:
    """Make the application around a loaded model, which from then on is the application's alone.

    Args:
        verifier: the model.
        settings: bounds, token and hosts.
        metrics: what to count with, where others count too.
    """
    settings = settings or Settings()
    metrics = metrics or Metrics()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher = Batcher(
            verifier,
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            timeout=settings.timeout,
            on_batch=metrics.batch.observe,
        )
        app.state.batcher = batcher
        metrics.waiting.set_function(lambda: batcher.depth)
        yield
        await batcher.close()

    app = FastAPI(
        title="candor",
        version=candor.__version__,
        summary="A model that says when it does not know.",
        lifespan=lifespan,
    )
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _broken)
    _add_service(app, verifier, settings, metrics)
    _add_page(app, verifier, settings)
    paths = {route.path for route in app.routes if isinstance(route, Route)}
    app.add_middleware(Guard, settings=settings, open_paths=OPEN, paths=paths, metrics=metrics)
    return app


def _add_service(app: FastAPI, verifier: Verifier, settings: Settings, metrics: Metrics) -> None:
    # The guard checks the token; this puts it into the documentation.
    bearer = [Security(HTTPBearer(auto_error=False))] if settings.token is not None else []

    @app.post("/verify", response_model=Answer, responses=_PROBLEMS, dependencies=bearer, tags=["verdicts"])
    async def verify(question: QuestionBody, request: Request) -> Any:
        """Judge one claim by its evidence."""
        batcher: Batcher = app.state.batcher
        try:
            async with asyncio.timeout(settings.timeout):
                asked = batcher.ask(Question(question.claim, tuple(question.evidence)))
                verdict = await _unless_gone(asked, request.receive)
        except _ClientGoneError as error:
            raise HTTPException(CLIENT_GONE, str(error)) from error
        except QueueFullError as error:
            raise HTTPException(429, str(error), {"Retry-After": str(batcher.retry_after)}) from error
        except TimeoutError as error:
            raise HTTPException(504, f"no answer within {settings.timeout:g} seconds") from error
        except CandorError as error:
            raise HTTPException(422, str(error)) from error
        metrics.verdicts.labels(verdict.label.value, str(verdict.accepted).lower()).inc()
        return verdict.as_json()

    @app.get("/healthz", response_model=Health, tags=["operation"])
    async def healthz() -> Any:
        """Say that the service is there."""
        return {"status": "ok", "model": verifier.name, "waiting": app.state.batcher.depth}

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses={401: _PROBLEMS[401]},
        dependencies=bearer,
        tags=["operation"],
    )
    async def show_metrics() -> Response:
        """Counters and histograms in the Prometheus text format."""
        return Response(metrics.text(), media_type=metrics.content_type)


def _add_page(app: FastAPI, verifier: Verifier, settings: Settings) -> None:
    environment = Environment(
        loader=PackageLoader("candor.serve", "assets"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("page.html.j2").render(
        about=verifier.describe(),
        rule=verifier.abstention,
        needs_token=settings.token is not None,
        max_sentences=MAX_SENTENCES,
        version=candor.__version__,
    )
    assets = files("candor.serve").joinpath("assets")
    style = stylesheet() + assets.joinpath("page.css").read_text(encoding="utf-8")
    script = assets.joinpath("page.js").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return HTMLResponse(page, headers=PAGE_HEADERS)

    @app.get("/page.css", include_in_schema=False)
    async def page_css() -> Response:
        return Response(style, media_type="text/css", headers=PAGE_HEADERS)

    @app.get("/page.js", include_in_schema=False)
    async def page_js() -> Response:
        return Response(script, media_type="text/javascript", headers=PAGE_HEADERS)


class _ClientGoneError(Exception):
    """The client has hung up."""


T = TypeVar("T")


async def _unless_gone(answer: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Wait for an answer, but for no longer than the client does; then it is not wanted any more and is cancelled.

    Raises:
        _ClientGoneError: the client has hung up.
    """
    asking, watching = asyncio.ensure_future(answer), asyncio.ensure_future(_hang_up(receive))
    try:
        await asyncio.wait({asking, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise _ClientGoneError("the client has hung up")
        return await asking
    finally:
        asking.cancel()
        watching.cancel()


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _invalid(request: Request, error: Exception) -> Response:
    """What is wrong with a request, without giving its content back: it may be large, or no valid text at all."""
    assert isinstance(error, RequestValidationError)
    findings = []
    status = 422
    for item in error.errors()[:5]:
        place = ".".join(str(part) for part in item["loc"] if part != "body")
        if item["type"] == "json_invalid":
            status, place = 400, ""
        findings.append(f"{place[:80]}: {item['msg']}" if place else item["msg"])
    return json_response(status, "; ".join(findings))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_response(error.status_code, str(error.detail), error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    # The server logs the traceback itself.
    return json_response(500, "something broke in the service; its log says what")
