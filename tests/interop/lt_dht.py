"""Nodes of libtorrent's hash table, one a port, without torrents. Prints a line of JSON a second:
how many nodes each knows. Ends on SIGTERM."""

import argparse
import json
import signal
import time

import libtorrent as lt


def dht_settings(bootstrap):
    """What makes libtorrent use the table in a network of namespaces, where all is local."""
    return {
        "enable_dht": True, "dht_bootstrap_nodes": ",".join(bootstrap),
        "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False,
        "dht_enforce_node_id": False, "dht_prefer_verified_node_ids": False,
        "dht_ignore_dark_internet": False, "dht_privacy_lookups": False,
        "use_dht_as_fallback": False, "dht_block_ratelimit": 1000,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--bootstrap", action="append", default=[], metavar="A:P")
    args = parser.parse_args()
    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(1))
    sessions = [lt.session({
        "listen_interfaces": f"{args.address}:{args.port + i}", "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, **dht_settings(args.bootstrap)})
        for i in range(args.count)]
    # libtorrent keeps nodes that it only began with out of its table: so they are named as well.
    for one in sessions:
        for i in range(args.count):
            if sessions[i] is not one:
                one.add_dht_node((args.address, args.port + i))
        for node in args.bootstrap:
            address, port = node.rsplit(":", 1)
            one.add_dht_node((address, int(port)))
    while not stopped:
        print(json.dumps([s.status().dht_nodes for s in sessions]), flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
