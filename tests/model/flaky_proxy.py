"""A peer as networks and liars make it: a relay before an honest seed that is slow, stalls, breaks
off, and may change bytes on the way.

It knows nothing of the protocol. A changed byte is one of a block in nearly all cases, and then
fails its hash at whoever asked; else it is nonsense, and the connection ends.
"""

import random
import selectors
import socket
import threading
import time


class FlakyProxy:
    """Relays from an address of its own until close(). Rates are in bytes a second."""

    def __init__(self, address, seed_port, rng_seed, rate, corrupt_every=0, cut_every=0):
        self._upstream = ("127.0.0.1", seed_port)
        self._seed, self._rate = rng_seed, rate
        self._corrupt_every, self._cut_every = corrupt_every, cut_every
        self._server = socket.create_server((address, 0))
        self.endpoint = "%s:%d" % self._server.getsockname()
        self.corrupted = self.connections = self.relayed = 0
        self._ends = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._ends = True
        self._server.close()

    def _accept(self):
        while not self._ends:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            rng = random.Random(f"{self._seed}.{self.connections}")
            threading.Thread(target=self._relay, args=(client, rng), daemon=True).start()

    def _relay(self, client, rng):
        try:
            with client, socket.create_connection(self._upstream, 5) as seed:
                self._pass_on(client, seed, rng)
        except OSError:
            pass  # either side has gone

    def _pass_on(self, client, seed, rng):
        gap = self._corrupt_every
        next_bad = rng.randint(gap // 2, gap * 2) if gap else None
        cut = rng.randint(self._cut_every // 2, self._cut_every * 2) if self._cut_every else None
        passed = 0
        poll = selectors.DefaultSelector()
        poll.register(client, selectors.EVENT_READ)
        poll.register(seed, selectors.EVENT_READ)
        while not self._ends:
            for key, _ in poll.select(0.5):
                data = key.fileobj.recv(32768)
                if not data:
                    return
                if key.fileobj is client:
                    seed.sendall(data)
                    continue
                if next_bad is not None and passed + len(data) > next_bad >= passed:
                    data = bytearray(data)
                    data[next_bad - passed] ^= 1 << rng.randrange(8)
                    self.corrupted += 1
                    next_bad += rng.randint(gap // 2, gap * 2)
                passed += len(data)
                self.relayed += len(data)
                if cut is not None and passed > cut:
                    return
                client.sendall(data)
                time.sleep(len(data) / self._rate + (rng.random() < 0.01) * rng.random() * 0.5)
