"""The requests of the review, and their answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rsretrieve.browse.json_body import JsonAnswer, json_of
from rsretrieve.browse.review import label_review as reviewing
from rsretrieve.browse.review.label_review import Review

T = TypeVar("T")


def review_routes(review: Review) -> list[Route]:
    """The addresses of a review.

    Args:
        review: what is reviewed.
    """
    handlers = _Handlers(review)
    return [
        Route("/review", handlers.page),
        Route("/review.js", handlers.script),
        Route("/review.css", handlers.style),
        Route("/compared", handlers.compared, methods=["POST"]),
        Route("/prepare", handlers.prepare, methods=["POST"]),
        Route("/decided", handlers.decided, methods=["POST"]),
    ]


class _Handlers:
    """Answers requests in one thread: decisions are kept in the order in which they came."""

    def __init__(self, review: Review) -> None:
        self._review, self._limiter = review, CapacityLimiter(1)

    async def page(self, _: Request) -> Response:
        content = await self._in_thread(self._review.page)
        headers = {"cache-control": "no-store"}  # an older page would lack decisions
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)

    async def script(self, _: Request) -> Response:
        return _text(reviewing.script(), "text/javascript; charset=utf-8")

    async def style(self, _: Request) -> Response:
        return _text(reviewing.style(), "text/css; charset=utf-8")

    async def compared(self, request: Request) -> Response:
        positions = (await json_of(request)).get("positions")
        found = await self._in_thread(lambda: self._review.compared(positions))
        return JsonAnswer({"found": found})

    async def prepare(self, request: Request) -> Response:
        self._review.make_ahead((await json_of(request)).get("pictures"))
        return Response(status_code=204)

    async def decided(self, request: Request) -> Response:
        content = await json_of(request)
        refused = await self._in_thread(lambda: self._review.decide(content))
        return JsonAnswer({"refused": refused})

    async def _in_thread(self, work: Callable[[], T]) -> T:
        waiting: Awaitable[T] = to_thread.run_sync(work, limiter=self._limiter)
        return await waiting


def _text(content: str, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"cache-control": "no-cache"})
