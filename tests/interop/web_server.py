"""Web servers for tests: nginx, and one that behaves as it is told.

Run as a program, `web_server.py PORT DIR MODE` serves DIR over HTTP/1.1 with ranges, and with one
thing that servers do: see the modes below. Prints a line for each request.
"""

import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse

CONFIG = """daemon off; worker_processes 1; user root; pid {dir}/nginx.pid;
error_log {dir}/nginx.err; events {{ worker_connections 128; }}
http {{ access_log {dir}/access.log; keepalive_requests {keepalive};
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{ listen 80; listen [::]:80; root {root}; }}
  {secure} }}
"""
SECURE = "server {{ listen 443 ssl; root {root}; ssl_certificate {pem}; ssl_certificate_key {pem}; }}"


class Nginx:
    """nginx on a Host, serving a folder at port 80, and when asked at 443 with `certificate`.

    That is a PEM file with its key, for the host's IPv4 address, which nobody else vouches for.
    """

    def __init__(self, host, root, keepalive=1000, tls=False):
        self.host = host
        folder = host.net.dir / f"{host.name}-nginx"
        folder.mkdir()
        config = folder / "nginx.conf"
        self.certificate = folder / "certificate.pem"
        secure = ""
        if tls:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                            "-subj", "/CN=web", "-addext", f"subjectAltName=IP:{host.ip4}",
                            "-keyout", self.certificate, "-out", folder / "public.pem"],
                           check=True, capture_output=True)
            with self.certificate.open("a") as both:
                both.write((folder / "public.pem").read_text())
            secure = SECURE.format(root=root, pem=self.certificate)
        config.write_text(CONFIG.format(dir=folder, root=root, keepalive=keepalive, secure=secure))
        self.access = folder / "access.log"
        self.proc = host.start("nginx", ["nginx", "-c", config, "-e", folder / "nginx.err"])
        wait_listening(self, 80)

    @staticmethod
    def absent():
        path = os.environ.get("PATH", "") + ":/usr/sbin"
        return None if shutil.which("nginx", path=path) else "nginx is not installed"

    @property
    def url(self):
        return f"http://{self.host.ip4}/"

    @property
    def secure_url(self):
        return f"https://{self.host.ip4}/"

    def requests(self):
        return self.access.read_text().splitlines()


class Scripted:
    """This program on a Host, at port 8080."""

    def __init__(self, host, root, mode):
        self.host = host
        self.proc = host.start(mode, [sys.executable, __file__, 8080, root, mode])
        wait_listening(self, 8080)

    @property
    def url(self):
        return f"http://{self.host.ip4}:8080/"


def wait_listening(server, port):
    from rig import wait_for
    wait_for("the web server to listen", lambda: server.host.listening(port), 20, [server.proc])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mode, root, count = "plain", pathlib.Path(), 0

    def do_GET(self):
        Handler.count += 1
        print(Handler.count, self.path, self.headers.get("Range"), flush=True)
        path = urllib.parse.unquote(self.path)
        if self.mode == "moves" and not path.startswith("/moved/"):
            return self.answer(302, b"", Location="/moved" + self.path)
        if self.mode == "busy" and Handler.count <= 2:
            return self.answer(503, b"busy", **{"Retry-After": "1"})
        file = self.root / path.removeprefix("/moved").lstrip("/")
        if not file.is_file() or (self.mode == "lacks" and file.name == "lacking"):
            return self.answer(404, b"no such file")
        data = file.read_bytes()
        if self.mode == "lies":
            data = bytes(byte ^ 1 for byte in data)
        asked = self.headers.get("Range")
        if self.mode == "whole" or not asked:
            return self.answer(200, data)
        first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
        part = data[first:last + 1]
        length = len(part)
        if self.mode == "short" and Handler.count % 3 == 0:
            part, self.close_connection = part[:length // 2], True
        self.send_response(206)
        self.send_header("Content-Length", str(length))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        if self.mode == "closes":
            self.send_header("Connection", "close")
        self.end_headers()
        if self.mode == "stalls" and Handler.count == 2:
            self.wfile.write(part[:length // 2])
            self.wfile.flush()
            time.sleep(60)
        self.wfile.write(part)

    def answer(self, status, body, **headers):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main():
    Handler.root, Handler.mode = pathlib.Path(sys.argv[2]), sys.argv[3]
    Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
