#!/usr/bin/env python3
"""Serves the pages from the directory of their sources, and passes all other requests on to a running gateway. A change of a file is
visible at the next reload of the page, without a build:

    triptych &
    tests/pages/serve.py [--port 8080] rest-gateway/pages http://127.0.0.1:8000
"""

import argparse
import http.client
import http.server
import pathlib
import urllib.parse

PAGES = {"/": "index.html", "/playground": "playground.html", "/jobs": "jobs.html", "/usage": "usage.html", "/docs": "docs.html"}
TYPES = {".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
# As in rest-gateway/src/pages/mod.rs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authenticate", "proxy-authorization"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages: pathlib.Path
    upstream: urllib.parse.SplitResult

    def handle_request(self):
        path = urllib.parse.urlsplit(self.path).path
        if self.command in ("GET", "HEAD") and path in PAGES:
            self.serve(self.pages / PAGES[path])
        elif self.command in ("GET", "HEAD") and path.startswith("/assets/"):
            self.serve(self.pages / path.removeprefix("/assets/"))
        else:
            self.proxy()

    do_GET = do_HEAD = do_POST = do_DELETE = do_OPTIONS = handle_request

    def serve(self, file):
        file = file.resolve()
        if not file.is_relative_to(self.pages) or file.suffix not in TYPES or not file.is_file():
            self.send_error(404)
            return
        content = file.read_bytes().replace(b"%VERSION%", b"(sources)")
        self.send_response(200)
        self.send_header("content-type", TYPES[file.suffix])
        self.send_header("content-length", str(len(content)))
        self.send_header("cache-control", "no-store")
        self.send_header("content-security-policy", POLICY)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def proxy(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        # The Host header is kept, so that the gateway knows the origin of the page.
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port or 80)
        try:
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            # The end of the connection is the end of the response, which may be a stream.
            self.send_header("connection", "close")
            self.end_headers()
            while piece := response.read1(65536):
                self.wfile.write(piece)
        except (ConnectionError, http.client.HTTPException) as error:
            self.log_message("%s", error)
        finally:
            connection.close()
            self.close_connection = True


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("pages", type=pathlib.Path)
    arguments.add_argument("upstream", type=urllib.parse.urlsplit)
    arguments.add_argument("--port", type=int, default=8080, help="0: a free port")
    arguments = arguments.parse_args()
    Handler.pages, Handler.upstream = arguments.pages.resolve(), arguments.upstream
    server = http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
