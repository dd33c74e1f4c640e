#!/usr/bin/env python3
"""Measures what is promised of a mount on which a thousand reads wait, on a quiet machine.

A torrent without peers is read by 1,000 threads while another is fetched as fast as a seed on the
loopback interface gives it. Meanwhile: how long operations take that need no content, how fast a
file streams; then how long unmounting takes. Prints figures; judges nothing.

Usage: bounds.py SWARMFS MOUNT_PROBE [MIB], of release builds; MIB to fetch (default 1024).
"""

import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from local_swarm import LocalSwarm, wait_for  # noqa: E402

READERS, STRIDE, ROUNDS = 1000, 256 << 10, 2000


def main():
    swarmfs, probe = sys.argv[1:3]
    mib = int(sys.argv[3]) if len(sys.argv) > 3 else 1024
    swarm = LocalSwarm(swarmfs, "bounds")
    try:
        measure(swarm, probe, mib)
    finally:
        swarm.close()
        swarm.remove()


def measure(swarm, probe, mib):
    fetched, stuck = swarm.folder / "fetched", swarm.folder / "stuck"
    with open(fetched, "wb") as file:
        for i in range(mib):
            file.write(random.Random(i).randbytes(1 << 20))
    with open(stuck, "wb") as file:
        file.truncate(READERS * STRIDE)
    torrents = [swarm.publish(path, "v1", 1 << 20) for path in (fetched, stuck)]
    port = swarm.port_of(swarm.seed(torrents[0], fetched))

    def figures(title):
        done = subprocess.run([probe, "metadata", swarm.mount_point, "stuck", str(ROUNDS)],
                              capture_output=True, text=True, check=True)
        print(title)
        print(f"  {'operation':<10} {'p50':>7} {'p99':>7} {'p99.9':>7} {'max':>7}  microseconds")
        for line in done.stdout.splitlines():
            print("  {:<10} {:>7} {:>7} {:>7} {:>7}".format(*line.split()))

    mount = swarm.mount(torrents, [f"127.0.0.1:{port}"])
    figures("idle")
    crowd = subprocess.Popen([probe, "crowd", swarm.mount_point / "stuck", "0", str(READERS),
                              str(STRIDE)], stdout=subprocess.PIPE, text=True)
    control = [swarm.swarmfs, "why", swarm.mount_point, "--json"]
    wait_for(lambda: f'"waiting_reads":{READERS}' in subprocess.run(
        control, env=swarm.environment, capture_output=True, text=True).stdout.replace(" ", ""),
             "a thousand waiting reads")
    figures(f"{READERS} reads wait")
    stream = subprocess.Popen([probe, "stream", swarm.mount_point / "fetched"],
                              stdout=subprocess.PIPE, text=True)
    figures(f"{READERS} reads wait, another torrent is fetched and read")
    print(f"  fetched and read at {float(stream.communicate()[0]):.0f} MB/s")
    subprocess.run(["sync"], check=True)
    again = subprocess.run([probe, "stream", swarm.mount_point / "fetched"], capture_output=True,
                           text=True, check=True)
    print(f"  read again at {float(again.stdout):.0f} MB/s")
    begin = time.monotonic()
    ending = subprocess.Popen([swarm.swarmfs, "unmount", swarm.mount_point],
                              env=swarm.environment)
    outcomes = crowd.communicate()[0].split()
    freed = time.monotonic() - begin
    ending.wait()
    mount.wait()
    print(f"unmounted: readers free after {freed:.2f} s (errno, threads: {outcomes}), "
          f"the program ended after {time.monotonic() - begin:.2f} s")


if __name__ == "__main__":
    main()
