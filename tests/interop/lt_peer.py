"""A libtorrent peer as a process: seeds or downloads one torrent and prints what happens.

Prints one JSON object a line: {"event": "ready"} when it listens and has checked its files,
{"event": "hash_failed", "piece": N}, {"event": "done"} when complete, and a "status" every half
second. Ends on SIGTERM, or when done with --exit.
"""

import argparse
import json
import signal
import sys
import time

import libtorrent as lt

import lt_dht


def say(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("torrent")
    parser.add_argument("dir")
    parser.add_argument("--port", type=int, default=6881)
    parser.add_argument("--peer", action="append", default=[], metavar="A:P")
    parser.add_argument("--dht", action="append", default=[], metavar="A:P",
                        help="use the hash table, beginning with this node")
    parser.add_argument("--lsd", action="store_true", help="find peers on the local network")
    parser.add_argument("--no-pex", action="store_true", help="exchange no peers with peers")
    parser.add_argument("--utp", action="store_true", help="allow uTP besides TCP")
    parser.add_argument("--encryption", choices=("forced", "off"), default="",
                        help="no connection but in RC4, or none with it")
    parser.add_argument("--no-tcp", action="store_true", help="uTP alone, with --utp")
    parser.add_argument("--up", type=int, default=0, help="upload limit, bytes per second")
    parser.add_argument("--down", type=int, default=0, help="download limit, bytes per second")
    parser.add_argument("--sequential", action="store_true")
    parser.add_argument("--only", help="comma-separated pieces to fetch; the others are not wanted")
    parser.add_argument("--idle", action="store_true", help="want no piece at all")
    parser.add_argument("--exit", action="store_true", help="end when complete")
    return parser.parse_args()


def settings(args):
    policy = {"forced": lt.enc_policy.pe_forced, "off": lt.enc_policy.pe_disabled,
              "": lt.enc_policy.pe_enabled}[args.encryption]
    level = lt.enc_level.rc4 if args.encryption == "forced" else lt.enc_level.both
    return {
        "in_enc_policy": policy, "out_enc_policy": policy, "allowed_enc_level": level,
        "listen_interfaces": f"0.0.0.0:{args.port},[::]:{args.port}",
        "enable_dht": False, "enable_lsd": args.lsd, "enable_upnp": False, "enable_natpmp": False,
        "enable_outgoing_utp": args.utp, "enable_incoming_utp": args.utp,
        "enable_outgoing_tcp": not args.no_tcp, "enable_incoming_tcp": not args.no_tcp,
        "close_redundant_connections": False,
        "allow_multiple_connections_per_ip": True,
        "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.status_notification
                      | lt.alert.category_t.peer_notification | lt.alert.category_t.tracker_notification,
        **(lt_dht.dht_settings(args.dht) if args.dht else {}),
    }


def add(session, args):
    if args.torrent.startswith("magnet:"):
        params = lt.parse_magnet_uri(args.torrent)
    else:
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(args.torrent)
    params.save_path = args.dir
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if args.sequential:
        params.flags |= lt.torrent_flags.sequential_download
    if args.no_pex:
        params.flags |= lt.torrent_flags.disable_pex
    if args.only:
        wanted = {int(p) for p in args.only.split(",")}
        params.piece_priorities = [4 if p in wanted else 0 for p in range(params.ti.num_pieces())]
    if args.idle:
        params.piece_priorities = [0] * params.ti.num_pieces()
    handle = session.add_torrent(params)
    # Per torrent: the session's limits do not count for peers on local addresses.
    handle.set_upload_limit(args.up or -1)
    handle.set_download_limit(args.down or -1)
    for peer in args.peer:
        address, port = peer.rsplit(":", 1)
        handle.connect_peer((address.strip("[]"), int(port)))
    return handle


def main():
    args = arguments()
    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(1))
    session = lt.session(settings(args))
    handle = add(session, args)
    ready = done = False
    next_status = 0
    while not stopped:
        session.wait_for_alert(100)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.hash_failed_alert):
                say("hash_failed", piece=alert.piece_index)
            elif isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert, lt.peer_ban_alert,
                                    lt.peer_error_alert, lt.peer_disconnected_alert,
                                    lt.tracker_error_alert, lt.tracker_reply_alert)):
                say("alert", text=str(alert))
        status = handle.status()
        checking = status.state in (lt.torrent_status.checking_files,
                                    lt.torrent_status.checking_resume_data)
        if not ready and not checking:
            ready = True
            say("ready", have=status.num_pieces)
        if ready and not done and status.is_finished and status.num_pieces > 0:
            done = True
            say("done")
            if args.exit:
                break
        if time.monotonic() >= next_status:
            next_status = time.monotonic() + 0.5
            if args.dht and status.num_peers == 0:
                handle.force_dht_announce()  # else it may be minutes until the next
            say("status", state=str(status.state), progress=round(status.progress, 4),
                pieces=status.num_pieces, peers=status.num_peers, up=status.total_payload_upload,
                down=status.total_payload_download, failed=status.total_failed_bytes)
    say("end", failed=handle.status().total_failed_bytes)
    del handle, session
    return 0


if __name__ == "__main__":
    sys.exit(main())
