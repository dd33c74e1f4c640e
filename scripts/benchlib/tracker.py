"""A tracker that names the peers it was started with to whoever asks, and remembers nobody.

So every client of every round is told the same: no stale addresses of earlier rounds.
Usage: tracker.py PORT A:P...
"""
import http.server
import socket
import sys


def main():
    port, peers = int(sys.argv[1]), sys.argv[2:]
    compact = b"".join(
        socket.inet_aton(p.rsplit(":", 1)[0]) + int(p.rsplit(":", 1)[1]).to_bytes(2, "big")
        for p in peers)
    answer = (b"d8:completei%de10:incompletei0e8:intervali1800e5:peers%d:%se"
              % (len(peers), len(compact), compact))

    class Handler(http.server.BaseHTTPRequestHandler):
        wbufsize = -1  # head and body in one packet: far away a second one costs a round trip

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
