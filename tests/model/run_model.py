#!/usr/bin/env python3
"""The reference model against the real program: seeds, liars, a mount, and swarmfs_model on it.

Three torrents (v1, v2, hybrid) of files at every border are seeded on the loopback interface, each
behind relays that are slow, break off and change bytes. In each round they are mounted anew with an
empty cache and without fetching ahead of readers, and swarmfs_model compares random operations with
the files themselves until it ends the mount under its readers.

Prints the seed; the same seed gives the same files and the same operations.
"""

import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from flaky_proxy import FlakyProxy  # noqa: E402

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


class Scene:
    """Everything that runs, ended by close()."""

    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.mount_point = folder / "mnt"
        self.mount_point.mkdir()
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(folder), HOME=str(folder))
        self.processes, self.proxies, self.torrents = [], [], []

    def start(self, name, *words):
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen([str(w) for w in words], stdout=log, stderr=log,
                                   env=self.environment)
        self.processes.append(process)
        return process

    def publish(self, fmt, rng):
        content = self.folder / "source" / fmt
        content.mkdir(parents=True)
        make_content(content, rng)
        torrent = self.folder / f"{fmt}.torrent"
        subprocess.run([self.args.swarmfs, "publish", content, "-o", torrent, "--format", fmt,
                        "--piece-size", str(PIECE)], check=True, stdout=subprocess.DEVNULL)
        self.torrents.append(torrent)

    def seed(self, fmt):
        """Two honest peers and a liar, each a seed behind a relay at an address of its own."""
        logs = []
        for i in range(3):  # each a process: a peer takes one connection of another
            name = f"seed-{fmt}-{i}"
            logs.append(self.folder / f"{name}.log")
            self.start(name, self.args.swarmfs, "seed", self.folder / f"{fmt}.torrent",
                       self.folder / "source" / fmt, "--listen", "127.0.0.1:0", "--json")
        for log, options in zip(logs, ({"cut_every": 3 << 20}, {"cut_every": 5 << 20},
                                       {"corrupt_every": 300_000})):
            number = len(self.proxies)
            self.proxies.append(FlakyProxy(
                f"127.0.0.{number + 2}", wait_for(lambda log=log: port_of(log), log.stem),
                f"{self.args.seed}.{number}", self.args.rate, **options))

    def mount(self, number):
        peers = [word for proxy in self.proxies for word in ("--peer", proxy.endpoint)]
        self.start(f"mount-{number}", self.args.swarmfs, "mount", "-f", "--on-demand",
                   "--listen", "127.0.0.1:0", "--cache-dir", self.folder / f"cache-{number}",
                   *peers, *self.torrents, self.mount_point)
        wait_for(lambda: (self.mount_point / FORMATS[-1]).is_dir(), "the mount")

    def close(self):
        for proxy in self.proxies:
            proxy.close()
        subprocess.run(["fusermount3", "-u", "-z", "-q", str(self.mount_point)],
                       stderr=subprocess.DEVNULL)
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come in {seconds} s")
        time.sleep(0.05)


def port_of(log):
    found = re.search(r'"port": ?(\d+)', log.read_text()) if log.exists() else None
    return int(found[1]) if found else None


def run(scene):
    args = scene.args
    rng = random.Random(args.seed)
    for fmt in FORMATS:
        scene.publish(fmt, rng)
    for fmt in FORMATS:
        scene.seed(fmt)
    for number in range(args.rounds):
        scene.mount(number)
        done = subprocess.run(
            [args.model, str(scene.mount_point), str(scene.folder / "source"),
             "--seed", str(args.seed * 1000 + number), "--workers", str(args.workers),
             "--operations", str(args.operations // args.rounds),
             "--seconds", str(max(1, args.seconds // args.rounds)),
             "--end", f"'{args.swarmfs}' unmount '{scene.mount_point}'"],
            env=scene.environment)
        if done.returncode != 0:
            return False
        process = scene.processes[-1]
        process.wait(20)
        if process.returncode != 0:
            print(f"the mount ended with {process.returncode}", file=sys.stderr)
            return False
        shutil.rmtree(scene.folder / f"cache-{number}")
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
    folder = pathlib.Path(tempfile.mkdtemp(prefix="swarmfs-model-"))
    scene = Scene(args, folder)
    good = False
    try:
        good = run(scene)
    finally:
        scene.close()
        if not good:
            for log in sorted(folder.glob("mount-*.log")):
                print(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-30:]),
                      file=sys.stderr)
            print(f"replay with --seed {args.seed}", file=sys.stderr)
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
