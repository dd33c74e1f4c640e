#!/usr/bin/python3
"""Makes the torrents in this folder with libtorrent, so that the tests compare with another
implementation. Content is the pattern of pattern() below, which fixtures.h repeats."""
import os
import tempfile

import libtorrent as lt

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = {  # name: (seed, length)
    "a.bin": (1, 100_000),
    "empty": (2, 0),
    "sub/b.bin": (3, 65_536),
    "sub/deep/c.bin": (4, 40_000),
    "z.bin": (5, 5),
}


def pattern(seed, length):
    return bytes((i * 7 + i // 251 + seed * 13) & 0xFF for i in range(length))


def make(root, name, out, piece_size, flags):
    storage = lt.file_storage()
    lt.add_files(storage, os.path.join(root, name))
    creator = lt.create_torrent(storage, piece_size, flags)
    lt.set_piece_hashes(creator, root)
    creator.add_tracker("http://tracker.example/announce", 0)
    creator.add_tracker("udp://tracker.example:6969", 1)
    creator.add_url_seed("http://seed.example/")
    creator.set_comment("made for a test")
    entry = creator.generate()
    entry.pop(b"creation date", None)
    with open(os.path.join(HERE, out), "wb") as f:
        f.write(lt.bencode(entry))


def main():
    with tempfile.TemporaryDirectory() as root:
        for name, (seed, length) in FILES.items():
            path = os.path.join(root, "tree", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(pattern(seed, length))
        with open(os.path.join(root, "single.bin"), "wb") as f:
            f.write(pattern(9, 200_000))
        flags = lt.create_torrent
        for kind, flag in (("v1", flags.v1_only), ("v2", flags.v2_only), ("hybrid", 0)):
            make(root, "tree", f"tree_{kind}.torrent", 32768, flag)
            make(root, "single.bin", f"single_{kind}.torrent", 16384, flag)


main()
