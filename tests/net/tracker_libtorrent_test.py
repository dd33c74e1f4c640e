#!/usr/bin/env python3
"""libtorrent announces to `swarmfs tracker` over HTTP and UDP, and two peers meet through it.

usage: tracker_libtorrent_test.py SWARMFS. Exit status 77: libtorrent's Python binding is not here.
"""
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

try:
    import libtorrent as lt
except ImportError:
    sys.exit(77)

QUIET = {
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True, "listen_interfaces": "127.0.0.1:0",
    # Else libtorrent asks a tracker on the loopback for nothing but /announce.
    "ssrf_mitigation": False,
    "alert_mask": lt.alert.category_t.all_categories,
}


def wait_for(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise SystemExit(f"FAILED: {what} took over {seconds} s")


def torrent(folder, url):
    """A file with changing content, and its torrent with one tracker."""
    content = os.urandom(600_000)
    with open(os.path.join(folder, "data.bin"), "wb") as out:
        out.write(content)
    storage = lt.file_storage()
    storage.add_file("data.bin", len(content))
    maker = lt.create_torrent(storage, 32768)
    lt.set_piece_hashes(maker, folder)
    maker.add_tracker(url)
    return lt.torrent_info(lt.bdecode(lt.bencode(maker.generate()))), content


def add(session, info, folder):
    params = lt.add_torrent_params()
    params.ti = info
    params.save_path = folder
    return session.add_torrent(params)


def two_peers_meet(url):
    with tempfile.TemporaryDirectory() as full, tempfile.TemporaryDirectory() as empty:
        info, content = torrent(full, url)
        seed_session, leech_session = lt.session(QUIET), lt.session(QUIET)
        seed = add(seed_session, info, full)
        wait_for(lambda: seed.status().is_seeding, "checking the seed's file")
        # The seed is known before the other asks, so one announce must be enough to meet it.
        wait_for(lambda: any(isinstance(a, lt.tracker_reply_alert)
                             for a in seed_session.pop_alerts()), f"the seed's announce to {url}")
        leech = add(leech_session, info, empty)
        wait_for(lambda: leech.status().is_seeding, f"a download through {url}")
        with open(os.path.join(empty, "data.bin"), "rb") as got:
            assert hashlib.sha256(got.read()).digest() == hashlib.sha256(content).digest()
        leech.scrape_tracker()
        counts = []

        def scraped():
            for alert in leech_session.pop_alerts():
                if isinstance(alert, lt.scrape_reply_alert):
                    counts.append((alert.complete, alert.incomplete))
            return bool(counts)

        wait_for(scraped, f"a scrape of {url}")
        assert sum(counts[-1]) == 2, counts


def main(swarmfs):
    tracker = subprocess.Popen([swarmfs, "tracker", "--listen", "127.0.0.1:0", "--json"],
                               stdout=subprocess.PIPE, text=True)
    try:
        urls = json.loads(tracker.stdout.readline())["announce"]
        assert {url.split(":")[0] for url in urls} == {"http", "udp"}, urls
        for url in urls:
            two_peers_meet(url)
            print(f"met through {url}")
    finally:
        tracker.send_signal(signal.SIGTERM)
        status = tracker.wait(timeout=10)
    assert status == 0, status


if __name__ == "__main__":
    main(sys.argv[1])
