"""What is shared in the tests: folders with awkward files, their torrents, and comparing bytes.

Run as a program, `content.py digest DIR` prints {relative path: [size, sha256]} as JSON: tests
read mounts only through such child processes, which can be ended when a read hangs.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import random
import sys

KIB = 1024
MIB = 1024 * KIB
PIECE = 64 * KIB

# Sizes around the borders of blocks (16 KiB) and pieces (64 KiB), and names that break scripts.
FILES = {
    "empty": 0,
    "one byte": 1,
    "block-1": 16 * KIB - 1,
    "block": 16 * KIB,
    "block+1": 16 * KIB + 1,
    "-piece minus one.bin": PIECE - 1,
    "piece.bin": PIECE,
    "piece plus 'one' & $(more);.bin": PIECE + 1,
    "naïve café/日本語 🎬.bin": 3 * MIB + 12345,
    "deep/er/and deeper/big.bin": 15 * MIB + 7,
    "deep/er/.hidden": 100 * KIB,
}


def make_tree(root, seed=1, files=None):
    """Fills root/ with pseudo-random files; the same seed gives the same bytes. Returns root."""
    root = pathlib.Path(root)
    for name, size in (files or FILES).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(f"{seed}/{name}").randbytes(size))
    root.mkdir(parents=True, exist_ok=True)
    return root


def digest(root):
    """{relative path: [size, sha256]} of the files below root; BEP 47 pad files left out."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if relative.startswith(".pad" + os.sep):
                continue
            with open(path, "rb") as f:
                found[relative] = [os.fstat(f.fileno()).st_size,
                                   hashlib.file_digest(f, "sha256").hexdigest()]
    return found


def digest_elsewhere(host, root, timeout=60):
    """digest(), computed by a child process on a Host."""
    done = host.run([sys.executable, __file__, "digest", root], timeout=timeout)
    if done.returncode != 0:
        raise AssertionError(f"reading {root} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


@dataclasses.dataclass(frozen=True)
class Torrent:
    """A .torrent file and what the rig wants to know of it."""

    path: pathlib.Path
    name: str
    version: str
    hashes: tuple  # the 20-byte hashes that trackers and handshakes use
    pads: tuple  # (path relative to the parent of the root, size) of pad files

    def write_pads(self, data):
        """Puts the pad files of a hybrid on disk, for clients that take them for real files."""
        for relative, size in self.pads:
            path = pathlib.Path(data) / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))


def make_torrent(source, out, version, piece=PIECE, trackers=(), private=False):
    """Makes a torrent of a file or folder with libtorrent."""
    import libtorrent as lt
    files = lt.file_storage()
    lt.add_files(files, str(source))
    flags = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}[version]
    made = lt.create_torrent(files, piece_size=piece, flags=flags)
    made.set_priv(private)
    for tier, url in enumerate(trackers):
        made.add_tracker(url, tier)
    lt.set_piece_hashes(made, str(pathlib.Path(source).parent))
    manifest = made.generate()
    # libtorrent names pad files by their size; rTorrent refuses two files of one name.
    for number, entry in enumerate(manifest[b"info"].get(b"files", [])):
        if b"p" in entry.get(b"attr", b""):
            entry[b"path"] = [b".pad", b"%d" % number]
    pathlib.Path(out).write_bytes(lt.bencode(manifest))
    return read_torrent(out)


def read_torrent(path):
    import libtorrent as lt
    info = lt.torrent_info(str(path))
    both = info.info_hashes()
    v1, v2 = both.has_v1(), both.has_v2()
    hashes = ([both.v1.to_bytes()] if v1 else []) + ([both.v2.to_bytes()[:20]] if v2 else [])
    listed = lt.bdecode(pathlib.Path(path).read_bytes())[b"info"].get(b"files", [])
    pads = tuple(("/".join([info.name(), *(p.decode() for p in entry[b"path"])]), entry[b"length"])
                 for entry in listed if b"p" in entry.get(b"attr", b""))
    version = "hybrid" if v1 and v2 else "v1" if v1 else "v2"
    return Torrent(pathlib.Path(path), info.name(), version, tuple(hashes), pads)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "digest":
        sys.exit("usage: content.py digest DIR")
    json.dump(digest(sys.argv[2]), sys.stdout)
