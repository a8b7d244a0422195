"""A real Prometheus, and pages for it to scrape that change with time.

with serve(Exporters({"/metrics": lambda seconds: f"requests_total {seconds}\\n"})) as address:
    with scraping({"scrape_configs": [...]}, folder) as url:
        ...
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from lab import build, parts
from lab.control_plane import free_ports

Page = Callable[[float], str]


@dataclass
class Exporters:
    """What each target exposes: path -> a function of the seconds since the start."""

    pages: dict[str, Page] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def page(self, path: str) -> str | None:
        found = self.pages.get(path)
        return found(time.monotonic() - self.started) if found else None


@contextlib.contextmanager
def serve(exporters: Exporters) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = exporters.page(self.path)
            body = (page or "").encode()
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def scraping(configuration: Mapping[str, object], folder: Path) -> Iterator[str]:
    """Its address. Where it has not been built, it is compiled first."""
    build.ensure(("prometheus",))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(configuration)))
    (port,) = free_ports(1)
    command = [
        str(parts.folder("prometheus") / "prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
