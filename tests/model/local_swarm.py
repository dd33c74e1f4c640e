"""The real program on the loopback interface: seeds and a mount, in a folder of their own."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come in {seconds} s")
        time.sleep(0.05)


class LocalSwarm:
    """Everything that runs ends with close(), and remove() leaves nothing."""

    def __init__(self, swarmfs, name):
        self.swarmfs = swarmfs
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"swarmfs-{name}-"))
        self.mount_point = self.folder / "mnt"
        self.mount_point.mkdir()
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(self.folder),
                                HOME=str(self.folder))
        self.processes, self.mounts = [], 0

    def start(self, name, *words):
        """A process of the program; what it prints is in the file name.log."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(w) for w in (self.swarmfs, *words)], stdout=log,
                                       stderr=log, env=self.environment)
        self.processes.append(process)
        return process

    def publish(self, content, fmt, piece_size):
        torrent = self.folder / f"{content.name}.torrent"
        subprocess.run([self.swarmfs, "publish", content, "-o", torrent, "--format", fmt,
                        "--piece-size", str(piece_size)], check=True, stdout=subprocess.DEVNULL)
        return torrent

    def seed(self, torrent, content):
        """The log, for port_of()."""
        name = f"seed-{len(self.processes)}"
        self.start(name, "seed", torrent, content, "--listen", "127.0.0.1:0", "--json")
        return self.folder / f"{name}.log"

    @staticmethod
    def port_of(log):
        """Waits until the seed is ready."""
        found = wait_for(lambda: re.search(r'"port": ?(\d+)', log.read_text()), log.stem)
        return int(found[1])

    def mount(self, torrents, peers, on_demand=True):
        """With an empty cache."""
        self.mounts += 1
        cache = self.folder / f"cache-{self.mounts}"
        shutil.rmtree(self.folder / f"cache-{self.mounts - 1}", ignore_errors=True)
        process = self.start(f"mount-{self.mounts}", "mount", "-f",
                             *(["--on-demand"] if on_demand else []), "--listen", "127.0.0.1:0", "--cache-dir", cache,
                             *(word for peer in peers for word in ("--peer", peer)),
                             *torrents, self.mount_point)
        wait_for(lambda: os.path.ismount(self.mount_point) and os.listdir(self.mount_point),
                 "the mount")
        return process

    def close(self):
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

    def show_logs(self):
        for log in sorted(self.folder.glob("mount-*.log")):
            print(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-30:]),
                  file=sys.stderr)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
