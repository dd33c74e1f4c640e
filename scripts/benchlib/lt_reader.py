"""A reader that is a libtorrent client itself: deadlines for what it reads, no filesystem.

Usage: lt_reader.py MODE TORRENT DIR SOURCE OPTIONS. Reads in a mode of reading.py and prints JSON.
The clock starts just before the session exists: Python's own start is not held against libtorrent.
With "on_demand" only what is read is fetched. TCP only; else default settings.
"""
import collections
import json
import sys
import time

import libtorrent as lt

import reading

PIECES_KEPT = 64
AHEAD = 16  # pieces with a deadline beyond the one that is read, when it is read in order
TIMEOUT_SECONDS = 60


class DeadlineFile:
    """The torrent's first file, by whole pieces: a piece is libtorrent's unit of verification."""

    def __init__(self, torrent, folder, on_demand):
        self._session = lt.session({
            "listen_interfaces": "0.0.0.0:6881",
            "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
            "enable_outgoing_utp": False, "enable_incoming_utp": False,
            "close_redundant_connections": False,
            "alert_mask": lt.alert.category_t.status_notification,
        })
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(torrent)
        params.save_path = folder
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        self._priority = 0 if on_demand else 4
        params.piece_priorities = [self._priority] * params.ti.num_pieces()
        self._size, self._count = params.ti.piece_length(), params.ti.num_pieces()
        self._handle = self._session.add_torrent(params)
        self._pieces = collections.OrderedDict()
        self._asked = set()
        self._last = None

    def _ask(self, piece, milliseconds):
        if piece in self._asked or piece >= self._count:
            return
        self._asked.add(piece)
        self._handle.piece_priority(piece, 7)
        self._handle.set_piece_deadline(piece, milliseconds,
                                        lt.deadline_flags_t.alert_when_available)

    def _forget_deadlines(self):
        self._handle.clear_piece_deadlines()
        for piece in self._asked - set(self._pieces):
            self._handle.piece_priority(piece, self._priority)
        self._asked &= set(self._pieces)

    def _piece(self, piece):
        in_order = self._last is not None and piece == self._last + 1
        if self._last is not None and not in_order and piece != self._last:
            self._forget_deadlines()
        self._ask(piece, 0)
        if in_order or piece == self._last:
            for ahead in range(1, AHEAD + 1):
                self._ask(piece + ahead, 100 * ahead)
        self._last = piece
        end = time.monotonic() + TIMEOUT_SECONDS
        while piece not in self._pieces:
            if time.monotonic() > end:
                raise TimeoutError(f"piece {piece} did not come within {TIMEOUT_SECONDS} s")
            self._session.wait_for_alert(1000)
            for alert in self._session.pop_alerts():
                if not isinstance(alert, lt.read_piece_alert):
                    continue
                if alert.error.value() == 0:
                    self._pieces[alert.piece] = bytes(alert.buffer)
                elif alert.piece == piece:  # a deadline that was cleared meanwhile
                    self._asked.discard(piece)
                    self._ask(piece, 0)
        while len(self._pieces) > PIECES_KEPT:
            self._asked.discard(self._pieces.popitem(last=False)[0])
        return self._pieces[piece]

    def read(self, offset, length):
        got = b""
        while length > 0:
            piece, begin = divmod(offset, self._size)
            part = self._piece(piece)[begin:begin + length]
            if not part:
                break
            got += part
            offset, length = offset + len(part), length - len(part)
        return got


def main():
    mode, torrent, folder, source, options = sys.argv[1:]
    options = json.loads(options)
    began = time.monotonic()
    file = DeadlineFile(torrent, folder, options.pop("on_demand"))
    with open(source, "rb") as original:
        result = reading.MODES[mode](file, original.fileno(), **options)
    print("\n" + json.dumps({"began": began, "visible": began, **result}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, reading.WrongBytes) as failure:
        sys.exit(f"reader: {failure}")
