"""The requests that the page sends, and their answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rsretrieve._core.text import printable
from rsretrieve.browse.answers import ANSWERS, AnswersFile
from rsretrieve.browse.base_map import BaseMap
from rsretrieve.browse.dropped_file import DroppedFile
from rsretrieve.browse.guard import Guard
from rsretrieve.browse.index_view import SIDES_PX, IndexView, Wanted
from rsretrieve.browse.json_body import JsonAnswer, json_object, json_of
from rsretrieve.browse.kind_search import KindSearchFile
from rsretrieve.browse.review.label_review import Review
from rsretrieve.browse.review.review_routes import review_routes
from rsretrieve.errors import InvalidArgument, RsretrieveError

T = TypeVar("T")

_PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    **{
        name: (name, "text/javascript; charset=utf-8")
        for name in ("app.js", "base_map.js", "cards.js", "map.js", "requests.js")
    },
}
_PICTURES_AT_ONCE = 32  # requests that wait; the pictures are made in one thread
_KEPT = {"cache-control": "private, max-age=3600"}


@dataclass(frozen=True)
class KeptFiles:
    """Where what a person says on the page is kept.

    Attributes:
        answers: yes and no.
        kind: the search for all tiles of a kind.
    """

    answers: AnswersFile
    kind: KindSearchFile


@dataclass(frozen=True)
class Extras:
    """What only some users ask for.

    Attributes:
        review: the review of an audit.
        base_map: a map below the map of places.
        map_note: how the map of similarity was made, for the page.
    """

    review: Review | None = None
    base_map: BaseMap | None = None
    map_note: str = "two principal components"


def make_app(
    view: IndexView, kept: KeptFiles, token: str, port: int = 0, extras: Extras | None = None
) -> Guard:
    """The app of one index.

    Args:
        view: the index.
        kept: where answers are kept.
        token: the secret part of every address.
        port: its port; 0: any (tests).
        extras: what only some users ask for.

    Returns:
        An ASGI app.
    """
    extras = extras or Extras()
    handlers = _Handlers(view, kept, extras)
    routes = [
        *(Route(f"/{name}", partial(_page, name)) for name in _PAGE),
        Route("/facts", handlers.facts),
        Route("/points", handlers.points),
        Route("/picture/{row:int}/{side:int}", handlers.picture),
        Route("/tiles", handlers.tiles, methods=["POST"]),
        Route("/search", handlers.search, methods=["POST"]),
        Route("/search-file", handlers.search_file, methods=["POST"]),
        Route("/answers", handlers.answer, methods=["POST"]),
        Route("/find", handlers.find, methods=["POST"]),
        Route("/find-answers", handlers.find_answers, methods=["POST"]),
        Route("/found", handlers.found),
        Route("/around/{row:int}", handlers.around),
        Route("/base/{zoom:int}/{column:int}/{row:int}", handlers.base_tile),
        *(review_routes(extras.review) if extras.review is not None else ()),
    ]
    app = Starlette(routes=routes, exception_handlers={RsretrieveError: _said})
    app.router.redirect_slashes = False  # a redirection would lack the token
    images_from = extras.base_map.origin if extras.base_map is not None else ""
    return Guard(app, token, port, images_from)


async def _page(name: str, _: Request) -> Response:
    file, kind = _PAGE[name]
    content = files("rsretrieve.browse").joinpath("page", file).read_bytes()
    return Response(content, media_type=kind, headers={"cache-control": "no-cache"})


async def _said(_: Request, error: Exception) -> Response:
    """An error of rsretrieve becomes a sentence on the page."""
    hint = getattr(error, "hint", "")
    return JsonAnswer({"error": str(getattr(error, "message", error)), "hint": hint}, 400)


class _Handlers:
    """Answers requests. Work runs in threads, so that a search waits for no picture."""

    def __init__(self, view: IndexView, kept: KeptFiles, extras: Extras) -> None:
        self._view, self._kind, self._answers = view, kept.kind, kept.answers
        self._extras = extras
        self._searching, self._drawing = CapacityLimiter(1), CapacityLimiter(_PICTURES_AT_ONCE)

    async def facts(self, _: Request) -> Response:
        facts = await self._in_thread(self._view.facts)
        row_of, extras = self._view.row_of, self._extras
        return JsonAnswer(
            {
                **facts,
                "answers": {row_of[tile]: said for tile, said in self._answers.values.items()},
                "answers_file": str(self._answers.path),
                "find_goes_on": self._kind.goes_on,
                "to_review": 0 if extras.review is None else extras.review.count,
                "base_map": None if extras.base_map is None else extras.base_map.facts(),
                "map_note": extras.map_note,
            }
        )

    async def points(self, _: Request) -> Response:
        points = await self._in_thread(lambda: self._view.points)
        return Response(points.tobytes(), media_type="application/octet-stream")

    async def picture(self, request: Request) -> Response:
        row, side = request.path_params["row"], request.path_params["side"]
        if not 0 <= row < len(self._view.ids) or side not in SIDES_PX:
            return Response(status_code=404)
        return await self._drawn(lambda: self._view.picture(row, side))

    async def around(self, request: Request) -> Response:
        row = request.path_params["row"]
        if not 0 <= row < len(self._view.ids):
            return Response(status_code=404)
        return await self._drawn(lambda: self._view.around(row))

    async def base_tile(self, request: Request) -> Response:
        base, given = self._extras.base_map, request.path_params
        if base is None or not base.folder:
            return Response(status_code=404)
        found = await to_thread.run_sync(lambda: base.tile(**given))
        if found is None:  # usual beyond the edge of a map, and no error for the browser
            return Response(status_code=204)
        content, kind = found
        return Response(content, media_type=kind, headers=_KEPT)

    async def _drawn(self, work: Callable[[], bytes]) -> Response:
        try:
            content = await to_thread.run_sync(work, limiter=self._drawing)
        except RsretrieveError as error:
            return Response(printable(error.message), 404, media_type="text/plain")
        return Response(content, media_type="image/webp", headers=_KEPT)

    async def tiles(self, request: Request) -> Response:
        content = await json_of(request)
        wanted = Wanted.of_json({"likes": content.get("rows", [])}, len(self._view.ids))
        return JsonAnswer(self._view.tiles(wanted.likes))

    async def search(self, request: Request) -> Response:
        content = await json_of(request)
        wanted = Wanted.of_json(content, len(self._view.ids))
        if (point := content.get("point")) is None:
            return JsonAnswer(await self._in_thread(lambda: self._view.search(wanted)))
        lon, lat = _point(point)
        found = await self._in_thread(lambda: self._view.search_point(lon, lat, wanted))
        return JsonAnswer(found)

    async def search_file(self, request: Request) -> Response:
        """The body is the file. It is decoded as any tile is: in a confined process."""
        given = request.query_params
        wanted = Wanted.of_json(json_object(given.get("wanted", "{}")), len(self._view.ids))
        name = given.get("name", "")
        suffix = Path(name).suffix.lower()
        if suffix not in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"):
            raise InvalidArgument("drop a PNG, JPEG, WebP, BMP or TIFF file")
        content = await request.body()
        file = DroppedFile(name, suffix, content)
        return JsonAnswer(await self._in_thread(lambda: self._found_by(file, wanted)))

    async def answer(self, request: Request) -> Response:
        given = await json_of(request)
        if not all(value in (*ANSWERS, "") for value in given.values()):
            raise InvalidArgument("an answer is yes, no, or empty to take it back")
        return await self._kept(self._answers, given)

    async def find(self, request: Request) -> Response:
        wanted = Wanted.of_json(await json_of(request), len(self._view.ids))
        likes, unlikes = (
            [self._view.ids[row] for row in rows] for rows in (wanted.likes, wanted.unlikes)
        )
        return await self._state(lambda: self._kind.begin(likes, unlikes))

    async def find_answers(self, request: Request) -> Response:
        given = self._by_id(await json_of(request))
        return await self._state(lambda: self._kind.answer(given))

    async def found(self, _: Request) -> Response:
        return JsonAnswer(self._with_tiles(await self._in_thread(self._kind.found)))

    async def _state(self, work: Callable[[], dict[str, Any]]) -> Response:
        state = await self._in_thread(work)
        return JsonAnswer({**state, "proposals": self._with_tiles(state["proposals"])})

    def _with_tiles(self, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        tiles = self._view.tiles([one["row"] for one in found])
        return [{**tile, **one} for tile, one in zip(tiles, found)]

    async def _kept(self, file: AnswersFile, given: Mapping[str, Any]) -> Response:
        changes = self._by_id(given)
        await self._in_thread(lambda: file.change(changes))
        return JsonAnswer({"kept": len(file.values), "file": str(file.path)})

    def _by_id(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Texts by row as texts by tile id."""
        ids = self._view.ids
        rows = [int(row) if row.isdecimal() and len(row) < 16 else -1 for row in given]
        texts = [value for value in given.values() if isinstance(value, str) and len(value) <= 200]
        if len(texts) < len(rows) or not all(0 <= row < len(ids) for row in rows):
            raise InvalidArgument("rows of the index and texts are expected")
        return dict(zip([ids[row] for row in rows], texts))

    def _found_by(self, file: DroppedFile, wanted: Wanted) -> list[dict[str, Any]]:
        with file.on_disk() as path:
            return self._view.search_file(str(path), wanted)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        waiting: Awaitable[T] = to_thread.run_sync(work, limiter=self._searching)
        return await waiting


def _point(value: Any) -> tuple[float, float]:
    try:
        lon, lat = map(float, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument("a place is longitude and latitude in degrees") from error
    return lon, lat
