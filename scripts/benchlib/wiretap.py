"""Notes every BitTorrent message between the host it runs on and others, with its time.

Usage: wiretap.py OUT SECONDS. Ends by itself or on SIGTERM, then writes a JSON array of
[time, peer, "in" or "out", kind, numbers...]: time is CLOCK_MONOTONIC; kinds are syn, synack (of
TCP), http (a tracker's answer), handshake, piece_begin (its first bytes) and the messages' names.
Segments that were lost and sent again are put in order.
"""
import json
import signal
import socket
import struct
import sys
import time

TRACKER_PORT, PEER_PORT = 8000, 6881
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
NAMES = {0: "choke", 1: "unchoke", 2: "interested", 3: "not_interested", 4: "have", 5: "bitfield",
         6: "request", 7: "piece", 8: "cancel", 13: "suggest", 14: "have_all", 15: "have_none",
         16: "reject", 17: "allowed_fast", 20: "extended", 21: "hash_request", 22: "hashes",
         23: "hash_reject"}
MAX_EARLY = 4096
WITH_PLACE = {6, 7, 8, 16}  # messages that begin with a piece and an offset in it


class Stream:
    """One direction of a connection: bytes in order, cut into messages."""

    def __init__(self, note, sequence):
        self._note = note
        self._next = (sequence + 1) & 0xFFFFFFFF
        self._early = {}  # {sequence number: bytes} of what is not in order yet
        self._bytes = bytearray()
        self._greeted = self._announced = False

    def take(self, when, sequence, payload):
        self._early[sequence] = payload  # what was lost comes again, behind what came after it
        if len(self._early) > MAX_EARLY:
            self._early.clear()  # the tap itself has missed something: the rest is not noted
            return
        while True:
            ready = [s for s in self._early if (self._next - s) & 0xFFFFFFFF < 1 << 31]
            if not ready:
                break
            for start in ready:
                known = (self._next - start) & 0xFFFFFFFF
                fresh = self._early.pop(start)[known:]
                if fresh:
                    self._next = (self._next + len(fresh)) & 0xFFFFFFFF
                    self._bytes += fresh
        self._cut(when)

    def _cut(self, when):
        while True:
            if not self._greeted:
                if len(self._bytes) < 68:
                    return
                self._note(when, "handshake")
                del self._bytes[:68]
                self._greeted = True
            if len(self._bytes) < 4:
                return
            length = int.from_bytes(self._bytes[:4], "big")
            kind = self._bytes[4] if len(self._bytes) > 4 and length else None
            place = ()
            if kind in WITH_PLACE and len(self._bytes) >= 13:
                place = struct.unpack(">II", self._bytes[5:13])
                if kind == 7 and not self._announced:
                    self._announced = True
                    self._note(when, "piece_begin", *place)
            if len(self._bytes) < 4 + length:
                return
            if kind in (21, 22, 23):
                place = struct.unpack(">III", self._bytes[37:49])
            if kind is not None:
                self._note(when, NAMES.get(kind, str(kind)), *place)
            self._announced = False
            del self._bytes[:4 + length]


class Tap:
    def __init__(self):
        self.events = []
        self._streams = {}

    def packet(self, when, frame, leaving):
        if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
            return
        head = 14 + (frame[14] & 15) * 4
        total = int.from_bytes(frame[16:18], "big")
        source, target, sequence = struct.unpack(">HHI", frame[head:head + 8])
        start = head + (frame[head + 12] >> 4) * 4
        flags = frame[head + 13]
        payload = frame[start:14 + total]
        address = frame[30:34] if leaving else frame[26:30]
        port = target if leaving else source
        peer = socket.inet_ntoa(address)
        way = "out" if leaving else "in"
        if port == TRACKER_PORT:
            if payload and not leaving:
                self.events.append((when, "tracker", way, "http"))
        elif port != PEER_PORT:
            return
        if flags & 2:  # SYN
            name = "tracker" if port == TRACKER_PORT else peer
            self.events.append((when, name, way, "synack" if flags & 16 else "syn"))
        if port == TRACKER_PORT:
            return
        key = (peer, source, target)
        if flags & 2:
            self._streams[key] = Stream(
                lambda when, *what: self.events.append((when, peer, way, *what)), sequence)
        elif payload and key in self._streams:
            self._streams[key].take(when, sequence, payload)


def main():
    out, seconds = sys.argv[1], float(sys.argv[2])
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    tap = Tap()
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    wire.bind(("eth0", 0))
    wire.settimeout(0.2)
    print("listening", flush=True)
    end = time.monotonic() + seconds
    while not stopped and time.monotonic() < end:
        try:
            frame, extra, _, address = wire.recvmsg(1 << 17, 64)
        except TimeoutError:
            continue
        s, ns = struct.unpack("qq", extra[0][2][:16])
        ago = time.time() - (s + ns / 1e9)
        tap.packet(time.monotonic() - ago, frame, address[2] == socket.PACKET_OUTGOING)
    with open(out, "w") as file:
        json.dump(tap.events, file)


if __name__ == "__main__":
    main()
