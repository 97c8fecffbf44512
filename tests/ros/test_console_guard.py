"""Who may use the console: no other site's page, and beyond this machine only who knows the token."""

import asyncio
import socket
import stat

import pytest
from hilam_ros.console_guard import Guard, is_loopback, read_token

from hilam_core.errors import FileError

TOKEN = "correct horse battery"
OWN = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}


async def _app(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


def ask(guard, path="/", method="GET", kind="http", body=b"", **headers):
    """The first message of the answer, and its headers."""
    sent = []

    async def receive():
        return {"type": f"{kind}.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    named = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": kind, "path": path, "headers": named}
    asyncio.run(guard({**scope, **({"method": method} if kind == "http" else {})}, receive, send))
    found = {key.decode(): value.decode() for key, value in sent[0].get("headers", [])}
    return sent[0], found


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:9000", "[::1]:8080"])
def test_this_machine_reads_and_connects(host):
    guard = Guard(_app)
    message, headers = ask(guard, host=host)
    assert message["status"] == 200 and headers["x-frame-options"] == "DENY"
    assert ask(guard, kind="websocket", host=host, origin=f"http://{host}")[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    ("kind", "method", "headers"),
    [
        ("websocket", "", {**OWN, "origin": "http://evil.example"}),
        ("websocket", "", {**OWN, "origin": "http://127.0.0.1:8888"}),  # another server of this machine
        ("websocket", "", {**OWN, "origin": "null"}),
        ("websocket", "", {"host": OWN["host"]}),
        ("http", "POST", {**OWN, "origin": "http://evil.example"}),
        ("http", "POST", {"host": OWN["host"]}),
        ("http", "GET", {"host": "evil.example:8080"}),  # a name that somebody made point here
        ("http", "GET", {"host": "192.168.0.7:8080"}),
        ("http", "GET", {}),
        ("http", "GET", {**OWN, "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}),
    ],
)
def test_other_sites_are_refused(kind, method, headers):
    message, _ = ask(Guard(_app), kind=kind, method=method, **headers)
    assert message.get("status") == 403 or message["type"] == "websocket.close"


def test_a_link_from_another_site_opens_the_page():
    headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "host": OWN["host"]}
    assert ask(Guard(_app), **headers)[0]["status"] == 200


def test_beyond_this_machine_only_who_knows_the_token():
    guard = Guard(_app, TOKEN, loopback=False)
    own = {"host": "192.168.0.7:8080", "origin": "http://192.168.0.7:8080"}
    assert ask(guard, "/camera/0", **own)[0]["status"] == 401
    assert ask(guard, kind="websocket", **own)[0]["type"] == "websocket.close"
    form, _ = ask(guard, "/", **own)
    assert form["status"] == 200
    wrong, headers = ask(guard, "/login", "POST", body=b"token=correct+horse", **own)
    assert wrong["status"] == 401 and "set-cookie" not in headers
    right, headers = ask(guard, "/login", "POST", body=b"token=correct+horse+battery", **own)
    assert right["status"] == 303 and TOKEN not in str(headers)
    assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
    cookie = headers["set-cookie"].split(";")[0]
    assert ask(guard, "/camera/0", cookie=cookie, **own)[0]["status"] == 200
    assert ask(guard, kind="websocket", cookie=cookie, **own)[0]["type"] == "websocket.accept"
    assert ask(guard, "/camera/0", cookie=f"{cookie}x", **own)[0]["status"] == 401
    assert ask(guard, host=f"{socket.gethostname()}:8080")[0]["status"] == 200
    assert ask(guard, host="evil.example:8080")[0]["status"] == 403


def test_a_token_is_made_for_its_owner_alone_and_refused_where_others_read_it(tmp_path):
    path = tmp_path / "new" / "token"
    token = read_token(path)
    assert len(token) >= 32 and read_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(FileError, match="others can read the token"):
        read_token(path)
    path.chmod(0o600)
    path.write_text("1234")
    with pytest.raises(FileError, match="has 4 characters, at least 16"):
        read_token(path)


def test_loopback_addresses_are_told_from_others():
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.7", "robot.local", "")))
