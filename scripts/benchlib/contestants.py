"""Who is measured on a Stage: filesystems over a mount, and libtorrent's deadlines without one.

run() does some jobs with a client that was started for them alone, over an empty cache, and returns
an Outcome. A job that fails or hangs is a Failed, which names what the client said last.
"""
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import time

from . import clients

HERE = pathlib.Path(__file__).resolve().parent
READY_SECONDS = 0.3  # a reader is up and polling before its client starts
Failed, Hopeless = clients.Failed, clients.Hopeless


@dataclasses.dataclass
class Job:
    """A reader (reading.py): its mode and options, and the file it reads, below the root."""

    mode: str
    options: dict = dataclasses.field(default_factory=dict)
    file: str = ""

    def argv(self, mount, stage):
        return [sys.executable, HERE / "mount_reader.py", self.mode, mount / stage.name / self.file,
                stage.source / self.file, json.dumps(self.options)]

    def result(self, text):
        return json.loads(text)


class Scan:
    """find over a folder, reading the head of every file: what an indexer or thumbnailer does."""

    def __init__(self, folder):
        self.folder = folder

    def argv(self, mount, stage):
        where = mount / stage.name / self.folder
        return ["sh", "-c", f'until [ -d "{where}" ]; do sleep 0.1; done; '
                f'find "{where}" -type f -exec head -c 64k {{}} \\; | wc -c']

    def result(self, text):
        return {"bytes": int(text)}


@dataclasses.dataclass
class Outcome:
    began: float  # the birth of the client
    results: list  # of the jobs, in their order
    status: dict = None  # swarmfs's own figures at the end


class Mounted:
    """A client that shows the torrent as a mount."""

    def __init__(self, name, version, command, status=None, trace=None):
        """`command(torrent, scratch, on_demand)` runs it in the foreground; `status(mount, env)` is
        the command that prints its figures as JSON; its logs are kept in the folder `trace`."""
        self.name, self.version = name, version
        self._command, self._status, self._trace = command, status, trace

    def run(self, stage, jobs, on_demand=False, limit=180, during=None, label=""):
        """`during()` is called when the client has just been started. Jobs run side by side; the
        first says when it is over: the others are ended then if they are no readers."""
        with stage.scratch() as scratch:
            env = {"XDG_RUNTIME_DIR": str(scratch)}
            running, client = [], None
            try:
                running = [self._begin(job, scratch, stage) for job in jobs]
                time.sleep(READY_SECONDS)
                began = time.monotonic()
                client = stage.client.start(self.name, [*self._command(
                    stage.torrent, scratch, on_demand), *stage.options], env=env)
                if during:
                    during()
                end = began + limit
                results = [self._result(job, popen, end, client)
                           for job, popen in zip(jobs, running)]
                return Outcome(began, results, self._figures(scratch / "mnt", env))
            finally:
                for popen in running:
                    popen.kill()
                if client:
                    self._end(client, scratch / "mnt")
                    if self._trace:
                        shutil.copyfile(client.log, self._trace / f"{label}-{client.popen_pid}.log")

    def _begin(self, job, scratch, stage):
        return subprocess.Popen([str(a) for a in job.argv(scratch / "mnt", stage)], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def _result(self, job, popen, end, client):
        try:
            out, err = popen.communicate(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Hopeless(f"{self.name}: a reader had not ended in time") from None
        if popen.returncode:
            raise Failed(f"{self.name}: {err.strip()}\n{client.tail(5)}")
        return job.result(out)

    def _figures(self, mount, env):
        if not self._status:
            return None
        done = subprocess.run([str(a) for a in self._status(mount)], env=env, text=True,
                              capture_output=True, timeout=10)
        return json.loads(done.stdout) if done.returncode == 0 else None

    @staticmethod
    def _end(client, mount):
        subprocess.run(["fusermount3", "-u", "-z", mount], capture_output=True, timeout=30)
        end = time.monotonic() + 5
        while client.alive() and time.monotonic() < end:
            time.sleep(0.01)
        client.stop()


class Deadlines:
    """lt_reader.py: reader and client in one."""

    name = "libtorrent"

    def __init__(self, version):
        self.version = version

    def run(self, stage, jobs, on_demand=False, limit=180, during=None, label=""):
        del label
        if len(jobs) != 1:
            raise Hopeless("libtorrent: no filesystem, so no several readers")
        job = jobs[0]
        with stage.scratch() as scratch:
            options = {**job.options, "on_demand": on_demand}
            proc = stage.client.start(self.name, [
                sys.executable, HERE / "lt_reader.py", job.mode, stage.torrent, scratch,
                stage.source, json.dumps(options)])
            if during:
                during()
            try:
                status = proc.wait(limit)
            except AssertionError:
                raise Hopeless("libtorrent: not done in time") from None
            finally:
                proc.stop()
            if status:
                raise Failed(f"libtorrent: ended with {status}: {proc.tail(5)}")
            result = json.loads(proc.text().splitlines()[-1])
            return Outcome(result["began"], [result])


def available(binary, trace=None):
    """{name: contestant} of those that are here."""
    import libtorrent as lt
    loud = ["-vv"] if trace else []

    def swarmfs(torrent, scratch, on_demand):
        return [*clients.swarmfs_command(binary)(torrent, scratch, on_demand), *loud]

    found = [Mounted("swarmfs", clients.version_of(binary, "swarmfs"), swarmfs,
                     lambda mount: [binary, "status", mount, "--json"], trace)]
    if shutil.which("btfs"):
        found.append(Mounted("btfs", clients.version_of("btfs", "btfs version:"),
                             clients.btfs_command))
    found.append(Deadlines(lt.__version__.rsplit(".", 1)[0]))
    return {c.name: c for c in found}
