"""A receiver of webhooks on this machine: it keeps what came, and answers as it was told to."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Receiver", "receiver"]


@dataclass
class Receiver:
    """What came so far, in its order, and what is to be answered."""

    port: int = 0
    answers: list[int] = field(default_factory=list)  # statuses, one a call; 200 when there are none left
    headers: dict[str, str] = field(default_factory=dict)  # of each answer
    paths: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)  # nothing is answered before it is set
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)  # headers in lower case, body

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?to=ana"


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A running receiver."""
    kept = Receiver()
    kept.go_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.paths.append(self.path)
            kept.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            kept.go_on.wait()
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            for name, value in kept.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # callers that hang up are expected
        kept.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield kept
        finally:
            kept.go_on.set()
            server.shutdown()
            thread.join()
