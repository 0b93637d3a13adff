"""Real servers for these tests, started by tools/elasticsearch, and a proxy that can lose an answer at will."""

from __future__ import annotations

import http.client
import http.server
import json
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from tests.live.wire import enter

TOOL = str(Path(__file__).parents[2] / "tools" / "elasticsearch")


def tool(*words: str) -> str:
    """What the script prints; its sentence is the failure of whoever needs the server."""
    made = subprocess.run([TOOL, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if made.returncode:
        raise AssertionError(f"the real Elasticsearch that this test needs: {made.stderr.strip()}")
    return made.stdout


@dataclass(frozen=True)
class Server:
    """One that runs. Of a secured one: passwords of admin, shipper and reader, the authority, its fingerprint."""

    facts: dict[str, str]

    @property
    def url(self) -> str:
        return self.facts["url"]

    def client(self) -> Elasticsearch:
        """May do all."""
        if "ca" in self.facts:
            return Elasticsearch(
                self.url, ca_certs=self.facts["ca"], basic_auth=("admin", self.facts["admin"]), request_timeout=60
            )
        return Elasticsearch(self.url, request_timeout=60)

    def halt(self) -> None:
        tool("halt", self.facts["folder"])

    def resume(self) -> None:
        tool("resume", self.facts["folder"])


@contextmanager
def running(*words: str) -> Iterator[Server]:
    server = Server(json.loads(tool("start", *words)))
    try:
        yield server
    finally:
        tool("stop", server.facts["folder"])


@dataclass
class Request:
    """What went through the proxy. `stream`: of a bulk."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def stream(self) -> str:
        parts = urllib.parse.urlsplit(self.path).path.split("/")
        return parts[1] if parts[-1] == "_bulk" else ""


class Proxy:
    """In front of a server. `before` and `after` see each request, before it is passed on and when it was answered; one
    that returns True ends the connection there, so that the client never learns what became of it.

    home: a network namespace (its open file) from which the server is reached, where the proxy was made in another.
    """

    def __init__(self, upstream: str, home: int | None = None) -> None:
        self.requests: list[Request] = []
        self.before: Callable[[Request], Any] = lambda request: False
        self.after: Callable[[Request], Any] = lambda request: False
        host = urllib.parse.urlsplit(upstream).netloc
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                if home is not None:
                    enter(home)

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                request = Request(self.command, self.path, dict(self.headers.items()), body)
                proxy.requests.append(request)
                if proxy.before(request):
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection(host, timeout=120)
                try:
                    connection.request(self.command, self.path, body or None, request.headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except OSError:
                    self.close_connection = True
                    return
                finally:
                    connection.close()
                if proxy.after(request):
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
