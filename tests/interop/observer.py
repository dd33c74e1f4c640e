"""Asks a v1 seed for every block of every piece at once, and says what it chose to send.

Prints "first N" when one piece is here whole, then ends. Takes part in nothing else: it has
nothing, and serves nothing.
"""

import socket
import struct
import sys

from evil_peer import BLOCK, INTERESTED, PIECE, REQUEST, UNCHOKE, message, read_exactly


def main():
    import libtorrent as lt
    info = lt.torrent_info(sys.argv[1])
    address, port = sys.argv[2].rsplit(":", 1)
    conn = socket.create_connection((address, int(port)), timeout=30)
    peer_id = b"-OB0001-" + b"%012d" % (hash(conn.getsockname()) % 10**12)
    conn.sendall(b"\x13BitTorrent protocol" + bytes(8) + info.info_hashes().v1.to_bytes() + peer_id)
    read_exactly(conn, 68)
    conn.sendall(message(INTERESTED))
    arrived = [0] * info.num_pieces()
    while True:
        length, = struct.unpack(">I", read_exactly(conn, 4))
        body = read_exactly(conn, length)
        if length and body[0] == UNCHOKE:
            for begin in range(0, info.piece_length(), BLOCK):
                for piece in range(info.num_pieces()):
                    if begin < info.piece_size(piece):
                        size = min(BLOCK, info.piece_size(piece) - begin)
                        conn.sendall(message(REQUEST, struct.pack(">III", piece, begin, size)))
        elif length and body[0] == PIECE:
            piece, = struct.unpack(">I", body[1:5])
            arrived[piece] += length - 9
            if arrived[piece] == info.piece_size(piece):
                print("first", piece, flush=True)
                return 0


if __name__ == "__main__":
    sys.exit(main())
