"""The swarm that is measured against: one random file, two libtorrent seeds and a tracker.

Each has its own namespace and address on one unshaped bridge. The seeds' copy lies in /dev/shm, so
that dropping the page cache for a client does not make the seeds wait for a disk.
"""
import contextlib
import mmap
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from rig import Net, wait_for  # tests/interop

import libtorrent as lt

HERE = pathlib.Path(__file__).resolve().parent
LT_PEER = HERE.parents[1] / "tests" / "interop" / "lt_peer.py"
FORMATS = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}
PORT = 6881
MADV_POPULATE_WRITE = 23  # linux/mman.h


def make_torrent(folder, name, piece_bytes, format_name, trackers, out):
    """Writes a torrent of one file with libtorrent, which is nobody's home ground but its own."""
    storage = lt.file_storage()
    lt.add_files(storage, str(folder / name))
    torrent = lt.create_torrent(storage, piece_bytes, FORMATS[format_name])
    for url in trackers:
        torrent.add_tracker(url)
    lt.set_piece_hashes(torrent, str(folder))
    out.write_bytes(lt.bencode(torrent.generate()))


def touch_memory():
    """Uses all free memory once. A virtual machine gets its memory from the host page by page, at
    the first touch, and that costs ten times what a copy does: whoever comes first would pay."""
    free = 0
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    with mmap.mmap(-1, int(free * 0.9) & ~0xFFF) as memory:
        with contextlib.suppress(OSError):
            memory.madvise(MADV_POPULATE_WRITE)


def drop_caches():
    """Forgets the page cache of every disk (not /dev/shm)."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


class Swarm:
    """Context manager. `client` is the host to measure on; `source`, `torrent`, `native` are files."""

    name = "sample.bin"

    def __init__(self, size, piece_bytes, format_name):
        self.size, self._piece_bytes, self._format = size, piece_bytes, format_name
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc):
        self._stack.close()

    def _set_up(self):
        shm = pathlib.Path(self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="swarmfs-bench-", dir="/dev/shm")))
        net = Net()
        self._stack.callback(net.close)
        self.dir = net.dir
        self.source = shm / self.name
        rng = random.Random(1)
        with open(self.source, "wb") as file:
            for offset in range(0, self.size, 1 << 20):
                file.write(rng.randbytes(min(1 << 20, self.size - offset)))
        self.native = self.dir / "native.bin"
        shutil.copyfile(self.source, self.native)

        tracker_host, self.client = net.host("tracker"), net.host("client")
        seed_hosts = [net.host("seed1"), net.host("seed2")]
        self.peers = [f"{h.ip4}:{PORT}" for h in seed_hosts]
        self.torrent = self.dir / "sample.torrent"
        make_torrent(shm, self.name, self._piece_bytes, self._format,
                     [f"http://{tracker_host.ip4}:8000/announce"], self.torrent)
        # The seeds know no tracker: it is not their speed that is measured.
        plain = self.dir / "seed.torrent"
        make_torrent(shm, self.name, self._piece_bytes, self._format, [], plain)
        tracker_host.start("tracker", [sys.executable, HERE / "tracker.py", "8000", *self.peers])
        wait_for("the tracker", lambda: tracker_host.listening(8000), 10)
        for host in seed_hosts:
            seed = host.start("seed", [sys.executable, LT_PEER, plain, shm, "--port", PORT])
            seed.wait_text(r'"ready", "have": [1-9]', 60)

    def scratch(self, label):
        """An empty directory on the disk for one run of one client."""
        path = self.dir / label
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def discard(self, path):
        subprocess.run(["umount", "-l", str(path / "mnt")], capture_output=True, timeout=20)
        shutil.rmtree(path, ignore_errors=True)
