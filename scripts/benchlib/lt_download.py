"""A plain libtorrent download: the yardstick for speed and CPU. Usage: lt_download.py TORRENT DIR.

Counts its own wall and CPU time from just before the session exists until the last piece is
verified, so that the start of Python is not held against libtorrent. Default settings, TCP.
"""
import json
import resource
import sys
import time

import libtorrent as lt


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    torrent, directory = sys.argv[1:]
    cpu_before, begin = cpu(), time.monotonic()
    session = lt.session({
        "listen_interfaces": "0.0.0.0:6881",
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "enable_outgoing_utp": False, "enable_incoming_utp": False,
        "alert_mask": lt.alert.category_t.status_notification,
    })
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = directory
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    session.add_torrent(params)
    while True:
        session.wait_for_alert(1000)
        if any(isinstance(a, lt.torrent_finished_alert) for a in session.pop_alerts()):
            break
    end = time.monotonic()
    print(json.dumps({"begin": begin, "end": end, "cpu": cpu() - cpu_before}), flush=True)


if __name__ == "__main__":
    main()
