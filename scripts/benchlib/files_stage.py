"""What scripts/bench files measures on: an ext4 folder, files in it, and mounts of their torrents.

The native files, the caches of the mounts and what btfs writes are all on the same disk. Everything
ends with the Stage, and what a killed run left is cleared by the next one (tests/interop/rig.py).
"""
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile

from . import process
from .clients import Failed
from .files_report import FLOOR
from rig import Net, abort_fuse, mounts_below, wait_for  # tests/interop

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
TRACKER_PORT, FIRST_PORT = 8000, 6881
IMAGE_BYTES = 8 << 30
COMMAND_SECONDS = 180
KIB, MIB = 1 << 10, 1 << 20


def run(argv, limit=COMMAND_SECONDS, mounts=None):
    """The output of a command. Failed when it fails, or takes longer than `limit` seconds: then the
    FUSE mounts below the folder `mounts` are cut, since who waits in one may not be killed else."""
    argv = [str(a) for a in argv]
    name = pathlib.Path(argv[0]).name
    popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = popen.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed(f"{name}: not done in {limit} s") from None
    finally:
        if popen.returncode is None:
            os.killpg(popen.pid, signal.SIGKILL)
            for _, device in mounts_below(mounts) if mounts else ():
                abort_fuse(device)
            popen.communicate()
    if popen.returncode:
        said = err.strip().splitlines()
        raise Failed(f"{name}: ended with {popen.returncode}: {said[-1] if said else 'no word'}")
    return out


def forget_names():
    """Drops what the kernel knows of names and inodes, of every file system. Pages stay."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("2\n")


@dataclasses.dataclass(frozen=True)
class Place:
    """A file or folder that is read, and the folder in which its client keeps the bytes."""

    path: pathlib.Path
    behind: pathlib.Path = None

    def forget(self):
        """Drops the pages of its files, its client's included, and of nobody else's."""
        for root in filter(None, (self.path, self.behind)):
            for file in [root] if root.is_file() else root.rglob("*"):
                if not file.is_file():
                    continue
                fd = os.open(file, os.O_RDONLY)
                try:
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(fd)


@contextlib.contextmanager
def ext4_folder(above):
    """An empty folder on ext4: below `above` if that is ext4, else in an image mounted there. (The
    kernel reads a cache on an overlay through the program only, which would be another figure.)"""
    with tempfile.TemporaryDirectory(prefix="swarmfs-bench-", dir=above) as name:
        if run(["findmnt", "-no", "FSTYPE", "-T", name]).strip() == "ext4":
            yield pathlib.Path(name)
            return
        image, point = pathlib.Path(name) / "image", pathlib.Path(name) / "ext4"
        with open(image, "wb") as out:
            out.truncate(IMAGE_BYTES)
        point.mkdir()
        run(["mkfs.ext4", "-q", "-F", image])
        run(["mount", "-o", "loop", image, point])
        try:
            yield point
        finally:
            subprocess.run(["umount", "-l", point], capture_output=True, timeout=30)


def make_files(root, count, folders, sizes, seed):
    """`count` files of random bytes in `folders` folders, in the order of their names."""
    rng = random.Random(seed)
    for number in range(count):
        folder = root / f"folder {number * folders // count:04d}"
        if number * folders % count < folders:
            folder.mkdir(parents=True, exist_ok=True)
        (folder / f"a file of some name {number:05d}").write_bytes(rng.randbytes(rng.choice(sizes)))


def make_file(path, size):
    rng = random.Random(path.name)
    with open(path, "wb") as out:
        for offset in range(0, size, MIB):
            out.write(rng.randbytes(min(MIB, size - offset)))


class Mount:
    """A running client that shows one or several torrents below `path`."""

    def __init__(self, host, name, folder, command, env=None):
        self.name, self.folder, self.path = name, folder, folder / "mnt"
        for part in ("mnt", "cache"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self._env = {"XDG_RUNTIME_DIR": str(folder), **(env or {})}
        self.client = process.Client(host, command(self.path, folder / "cache"), folder / "log",
                                     env=self._env)

    def place(self, name):
        return Place(self.path / name, self.folder / "cache")

    def wait_visible(self, name, limit=60):
        def visible():
            try:
                return (self.path / name).exists()
            except OSError:  # who died at it
                return False
        self._wait(f"{name} in {self.name}", visible, limit)

    def status(self, binary):
        done = subprocess.run([str(binary), "status", str(self.path), "--json"], timeout=20,
                              env={**os.environ, **self._env}, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_complete(self, binary, limit):
        def complete():
            status = self.status(binary)
            return status and all(t["progress"] == 1 for t in status["torrents"])
        self._wait(f"{self.name} to be complete", complete, limit, 0.2)

    def _wait(self, what, predicate, limit, step=0.05):
        try:
            wait_for(what, lambda: predicate() or not self.client.alive(), limit, step=step)
        except AssertionError as late:
            raise Failed(f"{late}: {self.client.tail()}") from None
        if not self.client.alive():
            raise Failed(f"{self.name} ended: {self.client.tail()}")

    def anonymous(self):
        return sum(process.anonymous_bytes(pid) for pid in process.tree(self.client.popen.pid))

    def end(self):
        subprocess.run(["fusermount3", "-u", "-z", self.path], capture_output=True, timeout=30)
        self.client.wait(10)
        self.client.stop()
        subprocess.run(["umount", "-l", self.path], capture_output=True, timeout=30)


class Stage(contextlib.ExitStack):
    """A context manager: `disk` is a folder on ext4, `client` the host to mount on."""

    def __init__(self, binary, above):
        super().__init__()
        self.binary, self._above = binary, above
        self._torrents, self._ports, self._mounts = {}, iter(range(FIRST_PORT, 7000)), 0

    def __enter__(self):
        super().__enter__()
        try:
            self.disk = self.enter_context(ext4_folder(self._above))
            self.native = self.disk / "native"
            self.native.mkdir()
            net = self.enter_context(Net())
            self._seed, self.client = net.host("seed"), net.host("client")
        except BaseException:
            self.close()
            raise
        return self

    def torrent(self, name, make, piece):
        """(manifest with a tracker, seed's address) of what `make(path)` puts at native/<name>;
        both are made at the first use, and a seed serves it from then on."""
        if name not in self._torrents:
            print(f"making {name}", file=sys.stderr, flush=True)
            make(self.native / name)
            port, tracker_port = next(self._ports), TRACKER_PORT + len(self._torrents)
            manifest = self.publish(
                name, piece, ["--tracker", f"http://{self._seed.ip4}:{tracker_port}/announce"])
            address = f"{self._seed.ip4}:{port}"
            self._seed.start("tracker", [sys.executable, HERE / "tracker.py", tracker_port, address])
            seed = self._seed.start("seed", [self.binary, "seed", manifest, self.native / name,
                                             "--listen", f"0.0.0.0:{port}"])
            seed.wait_text("seeding", 120)
            self._torrents[name] = manifest, address
        return self._torrents[name]

    def publish(self, name, piece, more=()):
        manifest = self.disk / f"{name}.torrent"
        run([self.binary, "publish", self.native / name, "-o", manifest, "--format", "v1",
             "--piece-size", f"{piece // KIB}K", *more])
        return manifest

    def mount(self, name, command, host=None):
        """A Mount that ends with the Stage, if its end() does not come before."""
        self._mounts += 1
        folder = self.disk / f"{self._mounts}-{name.replace(' ', '-')}"
        mounted = Mount(host or self.client, name, folder, command)
        self.callback(mounted.end)
        return mounted

    def swarmfs(self, manifests, peers=(), options=(), host=None, name="swarmfs"):
        def command(path, cache):
            return [self.binary, "mount", *manifests, path, "-f", "--cache-dir", cache, *options,
                    *(word for peer in peers for word in ("--peer", peer))]
        return self.mount(name, command, host)

    def btfs(self, manifest):
        def command(path, cache):
            return ["btfs", "-f", f"--data-directory={cache}", manifest, path]
        return self.mount("btfs", command)

    def floor(self, path):
        """The Mount of a file system over FUSE that shows a folder and does nothing else
        (tests/floor), and its Place."""
        program = self.disk / FLOOR
        if not program.exists():
            run(["c++", "-std=c++20", "-O2", TOP / "tests" / "floor" / "fuse_floor.cc", "-o", program])
        mounted = self.mount(FLOOR, lambda mount, _: [program, path, mount])
        wait_for(FLOOR, lambda: os.path.ismount(mounted.path), 60)
        return mounted, Place(mounted.path, path)

    def discard(self, mounted):
        mounted.end()
        shutil.rmtree(mounted.folder, ignore_errors=True)
