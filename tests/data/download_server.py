"""A web server on this machine, which sends files whole or in part, or breaks off."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def serving(files, ranges=True, break_off=None, requests=None):
    """Serves files by their paths.

    Args:
        files: dict from path to content.
        ranges: whether the server knows the header `Range`.
        break_off: number of bytes after which it closes the connection, or `None`.
        requests: list that takes the `Range` header of each GET, or `None`.

    Yields:
        address: `http://127.0.0.1:PORT`.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200 if self.path in files else 404)
            self.end_headers()

        def do_GET(self):
            wanted = self.headers.get("Range")
            if requests is not None:
                requests.append(wanted)
            content = files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and ranges else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:] if break_off is None else content[start : start + break_off])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
