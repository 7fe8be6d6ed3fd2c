"""Read what the page sends."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from rsretrieve.browse.index_view import MOST_ANSWERS
from rsretrieve.errors import InvalidArgument


async def json_of(request: Request) -> dict[str, Any]:
    """The body of a request, a JSON object.

    Raises:
        InvalidArgument: it is none, or has too many keys.
    """
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("the request is no JSON") from error
    if not isinstance(content, dict) or len(content) > MOST_ANSWERS:
        raise InvalidArgument("the request is no JSON object")
    return content
