"""A BitTorrent v1 peer that misbehaves in one chosen way: what an attacker, or a bug, would send.

Serves one torrent over TCP, as many connections as come. Prints a JSON line for each connection
and for each block that it served, so that a test can see how often it was tried and with what.
"""

import argparse
import json
import pathlib
import socket
import struct
import sys
import threading
import time

CHOKE, UNCHOKE, INTERESTED, HAVE, BITFIELD, REQUEST, PIECE = 0, 1, 2, 4, 5, 6, 7
BLOCK = 16384

_print_lock = threading.Lock()


def say(event, **values):
    with _print_lock:
        print(json.dumps({"event": event, **values}), flush=True)


def message(kind, payload=b""):
    return struct.pack(">IB", 1 + len(payload), kind) + payload


class Behaviour:
    """An honest seed of a v1 torrent; the subclasses change one thing each."""

    def __init__(self, info_hash, pieces, piece_length, data):
        self.info_hash, self.pieces = info_hash, pieces
        self.piece_length, self.data = piece_length, data

    def bitfield(self):
        bits = bytearray(b"\xff" * ((self.pieces + 7) // 8))
        if self.pieces % 8:
            bits[-1] = 0xFF << (8 - self.pieces % 8) & 0xFF
        return bytes(bits)

    def greet(self, conn):
        """The handshake and what follows it. The other side's handshake has been read."""
        conn.sendall(b"\x13BitTorrent protocol" + bytes(8) + self.info_hash + self.peer_id())
        conn.sendall(message(BITFIELD, self.bitfield()))

    def peer_id(self):
        return b"-EV0001-" + (b"%012d" % (time.monotonic_ns() % 10**12))

    def on_interested(self, conn):
        conn.sendall(message(UNCHOKE))

    def on_request(self, conn, piece, begin, length):
        say("block", piece=piece, begin=begin)
        self.send_block(conn, piece, begin, self.block(piece, begin, length))

    def block(self, piece, begin, length):
        start = piece * self.piece_length + begin
        return self.data[start:start + length]

    @staticmethod
    def send_block(conn, piece, begin, block):
        conn.sendall(message(PIECE, struct.pack(">II", piece, begin) + block))


class Corrupt(Behaviour):
    """Every block has one bit changed."""

    def block(self, piece, begin, length):
        good = super().block(piece, begin, length)
        return bytes([good[0] ^ 1]) + good[1:]


class CorruptSome(Behaviour):
    """One block in eight is corrupt: most of what it sends is right."""

    def block(self, piece, begin, length):
        good = super().block(piece, begin, length)
        bad = (piece * (self.piece_length // BLOCK) + begin // BLOCK) % 8 == 3
        return bytes([good[0] ^ 1]) + good[1:] if bad else good


class OtherTorrent(Behaviour):
    """Answers with the bytes of another torrent."""

    def block(self, piece, begin, length):
        good = super().block(piece, begin, length)
        return bytes(b ^ 0x5A for b in good)


class StallAfterUnchoke(Behaviour):
    """Promises everything, answers no request."""

    def on_request(self, conn, piece, begin, length):
        say("block", piece=piece, begin=begin)


class StallMidBlock(Behaviour):
    """Sends half of the first block asked for, and then nothing, ever."""

    def on_request(self, conn, piece, begin, length):
        say("block", piece=piece, begin=begin)
        body = struct.pack(">II", piece, begin) + self.block(piece, begin, length)
        conn.sendall(message(PIECE, body)[:length // 2])
        time.sleep(3600)


class LieHaveAll(Behaviour):
    """Says that it has everything, and chokes again at each request."""

    def on_request(self, conn, piece, begin, length):
        say("block", piece=piece, begin=begin)
        conn.sendall(message(CHOKE))
        time.sleep(0.5)
        conn.sendall(message(UNCHOKE))


class Choker(Behaviour):
    """Has everything and never unchokes."""

    def on_interested(self, conn):
        pass


class WrongBlock(Behaviour):
    """Answers with blocks that nobody asked for, of sizes that nobody asked for."""

    def on_request(self, conn, piece, begin, length):
        say("block", piece=piece, begin=begin)
        self.send_block(conn, (piece + 1) % self.pieces, begin, bytes(length))
        self.send_block(conn, piece, begin + 1, bytes(length - 1))
        self.send_block(conn, piece, begin, bytes(length // 2))


class Garbage(Behaviour):
    """Noise instead of messages after the handshake."""

    def greet(self, conn):
        conn.sendall(b"\x13BitTorrent protocol" + bytes(8) + self.info_hash + self.peer_id())
        conn.sendall(bytes(i * 37 % 251 for i in range(100000)))


class HugeLength(Behaviour):
    """A message that claims to be 4 GiB long, and begins to arrive."""

    def greet(self, conn):
        super().greet(conn)
        conn.sendall(struct.pack(">IB", 0xFFFFFFFF, PIECE) + bytes(1 << 20))
        time.sleep(3600)


class EndlessHandshake(Behaviour):
    """One byte of the handshake a second."""

    def greet(self, conn):
        for byte in b"\x13BitTorrent protocol" + bytes(8) + self.info_hash + self.peer_id():
            conn.sendall(bytes([byte]))
            time.sleep(1)


class WrongInfoHash(Behaviour):
    """Answers the handshake for another torrent."""

    def greet(self, conn):
        self.info_hash = bytes(20)
        super().greet(conn)


class HugeIndex(Behaviour):
    """Piece indices of 2^32-1, in HAVE, in requests and in blocks."""

    def greet(self, conn):
        super().greet(conn)
        conn.sendall(message(HAVE, struct.pack(">I", 0xFFFFFFFF)))
        conn.sendall(message(INTERESTED))
        conn.sendall(message(REQUEST, struct.pack(">III", 0xFFFFFFFF, 0xFFFFFFFF, BLOCK)))
        self.send_block(conn, 0xFFFFFFFF, 0xFFFFFFFF, bytes(BLOCK))


class BadBitfield(Behaviour):
    """A bitfield of the wrong size, with the spare bits set."""

    def bitfield(self):
        return super().bitfield() + b"\xff\xff"


BEHAVIOURS = {c.__name__: c for c in (
    Behaviour, Corrupt, CorruptSome, OtherTorrent, StallAfterUnchoke, StallMidBlock, LieHaveAll,
    Choker, WrongBlock, Garbage, HugeLength, EndlessHandshake, WrongInfoHash, HugeIndex, BadBitfield)}


def read_exactly(conn, count):
    parts = b""
    while len(parts) < count:
        got = conn.recv(count - len(parts))
        if not got:
            raise ConnectionError("closed by the other side")
        parts += got
    return parts


def serve(conn, behaviour, address):
    if read_exactly(conn, 20) != b"\x13BitTorrent protocol":
        raise ConnectionError("not a plaintext handshake")
    say("connected", peer=f"{address[0]}:{address[1]}")
    read_exactly(conn, 48)
    behaviour.greet(conn)
    while True:
        length, = struct.unpack(">I", read_exactly(conn, 4))
        if length == 0:
            continue
        body = read_exactly(conn, length)
        if body[0] == INTERESTED:
            behaviour.on_interested(conn)
        elif body[0] == REQUEST:
            behaviour.on_request(conn, *struct.unpack(">III", body[1:13]))


def connection(conn, address, make):
    began = time.monotonic()
    why = ""
    try:
        serve(conn, make(), address)
    except OSError as e:
        why = str(e)
    finally:
        conn.close()
    say("closed", seconds=round(time.monotonic() - began, 2), why=why)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("behaviour", choices=BEHAVIOURS)
    parser.add_argument("torrent", help="a single-file torrent with v1 hashes")
    parser.add_argument("file", help="its content")
    parser.add_argument("--port", type=int, default=6881)
    args = parser.parse_args()

    import libtorrent as lt
    info = lt.torrent_info(args.torrent)
    data = pathlib.Path(args.file).read_bytes()

    def make():
        return BEHAVIOURS[args.behaviour](info.info_hashes().v1.to_bytes(), info.num_pieces(),
                                          info.piece_length(), data)

    server = socket.create_server(("", args.port), backlog=128)
    say("ready")
    while True:
        conn, address = server.accept()
        threading.Thread(target=connection, args=(conn, address, make), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
