"""Who may use the operator console: no other site's page, and beyond this machine only who knows the token.

An ASGI middleware, for pages and for the websocket. No ROS here.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
import socket
import stat
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hilam_core.errors import FileError
from hilam_core.files import writable_folder

COOKIE, LOGIN = "hilam_console", "/login"
MIN_TOKEN = 16  # characters: fewer can be guessed, the console answers twice a second
WRONG_TOKEN_S = 0.5
MAX_FORM_BYTES = 4096
HEADERS = [
    (b"x-frame-options", b"DENY"),  # a button under another page's picture
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
FORM = """<!doctype html><meta charset="utf-8"><title>HiLAM</title>
<form method="post" action="/login" style="font:1.2em sans-serif;margin:4em">
<p>{problem}</p><label>Token of this console <input type="password" name="token" autofocus></label>
<button>Log in</button></form>"""


def is_loopback(host: str) -> bool:
    """Whether an address to listen at is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: Path) -> str:
    """The token in a file, which is made with a random one where it is missing.

    Raises:
        FileError: it cannot be read or made, others than its owner can read it, or it is too short.
    """
    try:
        if not path.exists():
            writable_folder(path.parent)
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(secrets.token_urlsafe(32) + "\n")
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise FileError(f"others can read the token in '{path}': chmod 600 '{path}'")
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"the token file '{path}' cannot be read or made: {error}") from None
    if len(token) < MIN_TOKEN:
        raise FileError(f"the token in '{path}' has {len(token)} characters, at least {MIN_TOKEN} are needed")
    return token


class Guard:
    """Lets a request through to `app`, or refuses it.

    A page of another site can make a browser send requests here, also to a loopback address. So the `Host`
    must be an address or this machine's name (no name that somebody else can point here), and what a browser
    says of the request's origin must be this console.

    token: what a person must enter first; empty: nothing.
    """

    def __init__(self, app: Any, token: str = "", loopback: bool = True):
        self.app, self.loopback = app, loopback
        self._token, self._session = token.encode(), secrets.token_urlsafe(32).encode()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):  # the server's own start and end
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        if problem := self.objection(scope, headers):
            await _refuse(scope, receive, send, 403, problem)
        elif self._token and not self._is_known(headers):
            await self._log_in(scope, receive, send)
        else:
            await self.app(scope, receive, _with_headers(send))

    def objection(self, scope: dict[str, Any], headers: dict[str, str]) -> str:
        """Why a request is refused whoever sends it; empty: it is not."""
        host = headers.get("host", "").lower()
        if not self._is_own(host):
            return "this console is known by its address, or by the name of its machine"
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        origin = headers.get("origin")
        if origin is None and not reads:
            return "the request does not say which page it comes from"
        if origin is not None and urlsplit(origin).netloc.lower() != host:
            return "the request comes from a page of another site"
        foreign = headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
        if foreign and not (reads and headers.get("sec-fetch-mode") == "navigate"):  # a link is harmless
            return "the request comes from a page of another site"
        return ""

    def _is_own(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "") if host else ""
        if is_loopback(name):
            return True
        if self.loopback:
            return False
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            own = socket.gethostname().lower()
            return name in (own, own.split(".")[0], f"{own.split('.')[0]}.local")

    def _is_known(self, headers: dict[str, str]) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self._session)

    async def _log_in(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Ask for the token, or take it."""
        if scope["type"] == "websocket" or scope["path"] not in ("/", LOGIN):
            await _refuse(scope, receive, send, 401, f"log in at {LOGIN}")
            return
        problem = ""
        if scope["method"] == "POST":
            form = parse_qs((await _body(receive)).decode("latin-1"))
            if hmac.compare_digest(form.get("token", [""])[0].encode(), self._token):
                cookie = f"{COOKIE}={self._session.decode()}; HttpOnly; SameSite=Strict; Path=/"
                await _answer(send, 303, b"", [(b"location", b"/"), (b"set-cookie", cookie.encode())])
                return
            await asyncio.sleep(WRONG_TOKEN_S)
            problem = "This is not the token."
        html = [(b"content-type", b"text/html; charset=utf-8")]
        await _answer(send, 401 if problem else 200, FORM.format(problem=problem).encode(), html)


async def _body(receive: Any) -> bytes:
    body = b""
    while len(body) < MAX_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body[:MAX_FORM_BYTES]


async def _refuse(scope: dict[str, Any], receive: Any, send: Any, status: int, problem: str) -> None:
    if scope["type"] == "websocket":
        await receive()  # the wish to connect
        await send({"type": "websocket.close", "code": 1008, "reason": problem})
    else:
        await _answer(
            send, status, f"{problem}\n".encode(), [(b"content-type", b"text/plain; charset=utf-8")]
        )


async def _answer(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [*headers, *HEADERS, (b"cache-control", b"no-store"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Any) -> Any:
    async def extended(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        await send(message)

    return extended
