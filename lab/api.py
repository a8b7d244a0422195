"""Asks the API server and other local servers small questions, without starting kubectl (0.2 s of CPU a time)."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from lab.layout import Layout

TIMEOUT_SECONDS = 2.0


def trust(layout: Layout, user: str | None = None) -> ssl.SSLContext:
    """TLS that trusts the lab's authority alone and, if named, signs in as that component."""
    context = ssl.create_default_context(cafile=str(layout.authority))
    if user is not None:
        context.load_cert_chain(layout.certificate(user), layout.key(user))
    return context


def get(url: str, context: ssl.SSLContext | None = None) -> str | None:
    """The body of a 2xx answer; None for any other and for no answer at all."""
    opener = _opener(context)
    try:
        with opener.open(url, timeout=TIMEOUT_SECONDS) as answer:
            body: bytes = answer.read()
    except (OSError, urllib.error.URLError, http.client.HTTPException):
        return None
    return body.decode()


def is_true(url: str, condition: str, context: ssl.SSLContext) -> bool:
    """Whether the object at `url` has the condition with status True."""
    body = get(url, context)
    conditions = json.loads(body).get("status", {}).get("conditions", []) if body else []
    return any(each["type"] == condition and each["status"] == "True" for each in conditions)


def _opener(context: ssl.SSLContext | None) -> Any:
    """No proxy: the address is inside the lab."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)
