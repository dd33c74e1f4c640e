#!/usr/bin/env python3
"""The reference model against the real program: seeds, liars, a mount, and swarmfs_model on it.

Three torrents (v1, v2, hybrid) of files at every border are seeded on the loopback interface, each
behind relays that are slow, break off and change bytes. In each round they are mounted anew with an
empty cache, in every second one fetching only what is read, and swarmfs_model compares random
operations with the files themselves until it ends the mount under its readers.

Prints the seed; the same seed gives the same files and the same operations.
"""

import argparse
import pathlib
import random
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from flaky_proxy import FlakyProxy  # noqa: E402
from local_swarm import LocalSwarm  # noqa: E402

PIECE = 64 << 10
FORMATS = ("v1", "v2", "hybrid")


def sizes(rng):
    """Sizes at the borders of pages, blocks and pieces, and some beyond."""
    borders = [0, 1, 2] + [b + d for b in (4096, 16384, PIECE, 2 * PIECE, 131072 * 3)
                           for d in (-1, 0, 1)]
    return borders + [rng.randint(1, 9000) for _ in range(40)] + [
        (1 << 20) - 1, (1 << 20) + 1, 3 * (1 << 20) + 5, rng.randint(1 << 20, 5 << 20)]


def make_content(root, rng):
    folders = ["", "one", "one/two", "/".join(f"level {i}" for i in range(20)), "tiny"]
    for i, size in enumerate(sizes(rng)):
        path = root / folders[i % len(folders)] / f"file {i} of {size}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(size))
    program = root / "program"
    program.write_text("#!/bin/sh\n" + "# padding\n" * 2000 + "exit 42\n")
    program.chmod(0o755)
    (root / "one" / "link").symlink_to("../program")


class Scene(LocalSwarm):
    """The torrents, their seeds behind relays, and the mount."""

    def __init__(self, args):
        super().__init__(args.swarmfs, "model")
        self.args = args
        self.proxies, self.torrents = [], []

    def publish_content(self, fmt, rng):
        content = self.folder / "source" / fmt
        content.mkdir(parents=True)
        make_content(content, rng)
        self.torrents.append(self.publish(content, fmt, PIECE))

    def seed_content(self, torrent):
        """Two honest peers and a liar, each a seed behind a relay at an address of its own."""
        # Each a process: a peer takes one connection of another.
        logs = [self.seed(torrent, self.folder / "source" / torrent.stem) for _ in range(3)]
        for log, options in zip(logs, ({"cut_every": 3 << 20}, {"cut_every": 5 << 20},
                                       {"corrupt_every": 300_000})):
            number = len(self.proxies)
            self.proxies.append(FlakyProxy(f"127.0.0.{number + 2}", self.port_of(log),
                                           f"{self.args.seed}.{number}", self.args.rate, **options))

    def close(self):
        for proxy in self.proxies:
            proxy.close()
        super().close()


def run(scene):
    args = scene.args
    rng = random.Random(args.seed)
    for fmt in FORMATS:
        scene.publish_content(fmt, rng)
    for torrent in scene.torrents:
        scene.seed_content(torrent)
    for number in range(args.rounds):
        mount = scene.mount(scene.torrents, [proxy.endpoint for proxy in scene.proxies],
                            on_demand=number % 2 == 0)
        done = subprocess.run(
            [args.model, str(scene.mount_point), str(scene.folder / "source"),
             "--seed", str(args.seed * 1000 + number), "--workers", str(args.workers),
             "--operations", str(args.operations // args.rounds),
             "--seconds", str(max(1, args.seconds // args.rounds)),
             "--end", f"'{args.swarmfs}' unmount '{scene.mount_point}'"],
            env=scene.environment)
        if done.returncode != 0:
            return False
        if mount.wait(20) != 0:
            print(f"the mount ended with {mount.returncode}", file=sys.stderr)
            return False
    corrupted = sum(p.corrupted for p in scene.proxies)
    print(f"relays: {sum(p.relayed for p in scene.proxies) >> 20} MiB, {corrupted} bytes changed, "
          f"{sum(p.connections for p in scene.proxies)} connections")
    if not corrupted:
        print("no byte was changed: nothing was lied about", file=sys.stderr)
    return corrupted > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("swarmfs")
    parser.add_argument("model", help="the program swarmfs_model")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=60, help="after which fewer do")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--rate", type=int, default=8_000_000, help="of each relay, bytes a second")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scene = Scene(args)
    good = False
    try:
        good = run(scene)
    finally:
        scene.close()
        if not good:
            scene.show_logs()
            print(f"replay with --seed {args.seed}", file=sys.stderr)
        if not args.keep:
            scene.remove()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
