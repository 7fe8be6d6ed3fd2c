"""The JSON that the page sends, and that it is answered."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from rsretrieve.browse.index_view import MOST_ANSWERS
from rsretrieve.errors import InvalidArgument


class JsonAnswer(JSONResponse):
    """JSON in ASCII: names of files may be no Unicode, which UTF-8 cannot say."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


async def json_of(request: Request) -> dict[str, Any]:
    """The body of a request, a JSON object; raises the error of `json_object`."""
    return json_object(await request.body())


def json_object(text: str | bytes) -> dict[str, Any]:
    """What the page sent, a JSON object.

    Raises:
        InvalidArgument: it is none, or has too many keys.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("the request is no JSON") from error
    if not isinstance(content, dict) or len(content) > MOST_ANSWERS:
        raise InvalidArgument("the request is no JSON object")
    return content
