"""BitTorrent clients behind one face, so that a test does not care which one it drives.

A client lives on one Host. seed() returns when its data is checked and it listens; download()
starts; wait_done() returns when everything is there. `data` and `out` are the folders that hold
the torrent's root, for every client alike. How each client is told so is its class's business.
"""

import json
import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
SWARMFS = pathlib.Path(os.environ.get("SWARMFS", TOP / "build/dev/mount/swarmfs"))

PORT = 6881


class Client:
    name = ""
    program = ""
    versions = ("v1", "hybrid")
    needs_pads = True  # takes the pad files of a hybrid for files like any other
    makes_empty_files = True
    schemes = ("http", "udp")  # of the trackers that it can use
    transports = ("tcp",)  # that it can be told to use

    def __init__(self, host):
        self.host = host
        self.proc = None
        self.dir = host.net.dir / f"{host.name}-{self.name}"
        self.dir.mkdir(exist_ok=True)

    @classmethod
    def absent(cls):
        """Why it cannot run here, or None."""
        return None if shutil.which(cls.program) else f"{cls.program} is not installed"

    @classmethod
    def told(cls, transport, encrypted):
        """This client with nothing but this transport and, `encrypted`, nothing but RC4; else
        plaintext, or as near to that as it goes."""
        raise NotImplementedError

    @property
    def address(self):
        return f"{self.host.ip4}:{PORT}"

    def seed(self, torrent, data):
        raise NotImplementedError

    def download(self, torrent, out):
        raise NotImplementedError

    def wait_done(self, timeout):
        raise NotImplementedError

    def wait_listening(self, timeout=20):
        from rig import wait_for
        wait_for(f"{self.name} to listen on {PORT}", lambda: self.host.listening(PORT), timeout,
                 [self.proc])

    def stop(self):
        if self.proc:
            self.proc.stop()


class LibTorrent(Client):
    """python3-libtorrent. Options are lt_peer.py's, without the dashes."""

    name = "libtorrent"
    versions = ("v1", "v2", "hybrid")
    needs_pads = False
    transports = ("tcp", "utp")

    def __init__(self, host, **options):
        super().__init__(host)
        self.options = options

    @classmethod
    def told(cls, transport, encrypted):
        options = {"encryption": "forced" if encrypted else "off"}
        if transport == "utp":
            options.update({"utp": True, "no-tcp": True})

        class Told(cls):
            def __init__(self, host):
                super().__init__(host, **options)

        return Told

    @classmethod
    def absent(cls):
        try:
            import libtorrent  # noqa: F401
        except ImportError:
            return "python3-libtorrent is not installed"
        return None

    def _start(self, torrent, folder, peers=()):
        argv = [sys.executable, HERE / "lt_peer.py", torrent.path, folder, "--port", PORT]
        for key, value in self.options.items():
            argv += [f"--{key}"] if value is True else [f"--{key}", value] if value else []
        for peer in peers:
            argv += ["--peer", peer]
        self.proc = self.host.start(self.name, argv)

    def seed(self, torrent, data, peers=()):
        self._start(torrent, data, peers)
        self.proc.wait_text(r'"event": "done"', 60)

    def download(self, torrent, out, peers=(), stay=False):
        del stay  # it always does
        self._start(torrent, out, peers)

    def wait_done(self, timeout):
        self.proc.wait_text(r'"event": "done"', timeout)

    wait_complete = wait_done

    def events(self, kind):
        lines = [json.loads(l) for l in self.proc.text().splitlines() if l.startswith("{")
                 and l.endswith("}")]
        return [l for l in lines if l["event"] == kind]

    def status(self):
        """The newest status line: progress, pieces, peers, up, down, failed."""
        return self.events("status")[-1]


class LibTorrentUtp(LibTorrent):
    """The same with uTP allowed besides TCP, as most of its users have it."""

    name = "libtorrent-utp"
    versions = ("hybrid",)

    def __init__(self, host, **options):
        super().__init__(host, utp=True, **options)


class SwarmFs(Client):
    """The program under test: `seed` and `get`."""

    name = "swarmfs"
    versions = ("v1", "v2", "hybrid")
    needs_pads = False
    transports = ("tcp", "utp")
    flags = ()  # for every command that meets peers

    @classmethod
    def told(cls, transport, encrypted):
        class Told(cls):
            flags = ("--encryption", "require" if encrypted else "forbid",
                     *(("--utp", "--no-tcp") if transport == "utp" else ()))

        return Told

    @classmethod
    def absent(cls):
        return None if os.access(SWARMFS, os.X_OK) else f"no {SWARMFS} (set SWARMFS)"

    def seed(self, torrent, data, extra=()):
        self.proc = self.host.start("seed", [
            SWARMFS, "seed", torrent.path, pathlib.Path(data) / torrent.name, "--listen",
            f"0.0.0.0:{PORT}", *self.flags, *extra])
        self.proc.wait_text(r"\n", 30)
        self.wait_listening()

    def download(self, torrent, out, peers=(), stay=False, extra=()):
        """With `stay` it goes on seeding when it has everything, until stopped."""
        argv = [SWARMFS, "get", torrent.path, "-o", out, "--listen", f"0.0.0.0:{PORT}", *self.flags, *extra]
        argv += ["--seed"] if stay else []
        for peer in peers:
            argv += ["--peer", peer]
        self.proc = self.host.start("get", argv)

    def wait_complete(self, timeout):
        """For one that stays: until all is on disk, which is later than a peer can have it."""
        self.proc.wait_text("(?m)^complete: ", timeout)

    def wait_done(self, timeout):
        status = self.proc.wait(timeout)
        if status != 0:
            raise AssertionError(f"swarmfs get ended with {status}\n{self.proc.tail()}")


class SwarmFsMount(SwarmFs):
    """`mount`: download() mounts, and the files appear below out/ as they do for the others."""

    name = "swarmfs-mount"

    def __init__(self, host):
        super().__init__(host)
        self.point = None
        self.cache = self.dir / "cache"

    def download(self, torrent, out, peers=(), stay=True, extra=()):
        del stay  # it always does
        self.point = pathlib.Path(out)
        self.point.mkdir(parents=True, exist_ok=True)
        argv = [SWARMFS, "mount", torrent.path, self.point, "-f", "--cache-dir", self.cache,
                "--listen", f"0.0.0.0:{PORT}", *self.flags, *extra]
        for peer in peers:
            argv += ["--peer", peer]
        self.proc = self.host.start("mount", argv, env={"XDG_RUNTIME_DIR": str(self.dir)})
        from rig import wait_for
        wait_for(f"{self.point} to be mounted", lambda: os.path.ismount(self.point), 10,
                 [self.proc])

    def wait_done(self, timeout):
        """Nothing: its readers wait."""

    def status(self):
        done = self.host.run([SWARMFS, "status", self.point, "--json"], timeout=10,
                             env={**os.environ, "XDG_RUNTIME_DIR": str(self.dir)})
        if done.returncode != 0:
            raise AssertionError(f"swarmfs status: {done.stderr}")
        return json.loads(done.stdout)

    def unmount(self, timeout=10):
        """Unmounts as a user would; returns the exit status of the daemon."""
        done = self.host.run(["fusermount3", "-u", self.point], timeout=timeout)
        if done.returncode != 0:
            raise AssertionError(f"fusermount3 -u: {done.stderr}")
        return self.proc.wait(timeout)

    def stop(self):
        if self.point and os.path.ismount(self.point):
            self.unmount()


# INTEROP_SUBJECT=libtorrent puts libtorrent in swarmfs's place wherever a test allows it: that
# tells the faults of the rig from ours.
SUBJECT = {"swarmfs": SwarmFs, "libtorrent": LibTorrent}[os.environ.get("INTEROP_SUBJECT",
                                                                        "swarmfs")]
