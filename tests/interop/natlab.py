"""Routers with NAT between hosts of a rig.Net, and miniupnpd on them.

The hosts of the Net are outside, at addresses that look public (5.77.0.0/16), since miniupnpd maps no
port at others. Behind each Router are hosts of its own, at private ones. nftables does what home
routers do: what comes from inside goes out masqueraded, and nothing new comes in.
"""

import pathlib
import shutil
import uuid

import rig

MINIUPNPD = "/usr/sbin/miniupnpd"

RULES = """
table inet filter {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "lan" accept
        jump miniupnpd
    }
    chain input {
        type filter hook input priority 0; policy accept;
        iifname "eth0" ct state new drop
    }
    chain miniupnpd { }
    chain prerouting {
        type nat hook prerouting priority -100; policy accept;
        jump prerouting_miniupnpd
    }
    chain postrouting {
        type nat hook postrouting priority 100; policy accept;
        jump postrouting_miniupnpd
        oifname "eth0" masquerade
    }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
"""

CONFIG = """
ext_ifname=eth0
listening_ip=lan
ipv6_disable=yes
enable_upnp={upnp}
enable_natpmp={natpmp}
min_lifetime=120
max_lifetime=86400
secure_mode=yes
system_uptime=no
notify_interval=30
uuid={uuid}
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


def absent():
    """Why there can be no routers, or None."""
    if not pathlib.Path(MINIUPNPD).exists():
        return "miniupnpd is not installed"
    return None if shutil.which("nft", path="/usr/sbin:/usr/bin:/sbin:/bin") else "nft is not there"


def outside(host):
    """Gives a host of the Net its public address, which it returns."""
    host.ip4 = f"5.77.0.{host.number}"
    rig.batch(host.ns, "addr flush dev eth0", f"addr add {host.ip4}/16 dev eth0")
    return host.ip4


class Inside(rig.BaseHost):
    """A host behind a router."""

    def __init__(self, router, name):
        self.router = router
        super().__init__(router.net, name, len(router.net.hosts) + 1)
        router.net.hosts.append(self)
        router.inside.append(self)
        self.ip4 = f"192.168.{router.host.number}.{len(router.inside) + 1}"
        rig.batch(self.ns, "addr flush dev eth0", f"addr add {self.ip4}/24 dev eth0",
                  f"route add default via {router.lan}")

    def plug(self):
        link = f"p{self.number}"
        rig.batch(self.router.host.ns, f"link add {link} type veth peer name eth0 netns {self.ns}",
                  f"link set {link} master lan up")

    def cut(self):
        rig.batch(self.router.host.ns, f"link set p{self.number} down")


class Router:
    """A namespace with a foot outside (`host`) and a network of its own."""

    def __init__(self, net, name):
        self.net = net
        self.host = net.host(name)
        self.public = outside(self.host)
        self.lan = f"192.168.{self.host.number}.1"
        self.inside = []
        self.upnpd = None
        rig.batch(self.host.ns, "link add lan type bridge forward_delay 0 mcast_snooping 0",
                  f"addr add {self.lan}/24 dev lan", "link set lan up")
        self._run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        self.nft(RULES)

    def _run(self, *argv, **kwargs):
        done = self.host.run(argv, **kwargs)
        if done.returncode != 0:
            raise RuntimeError(f"{argv}: {done.stderr}")
        return done.stdout

    def nft(self, rules):
        file = self.net.dir / f"{self.host.name}.nft"
        file.write_text(rules)
        self._run("/usr/sbin/nft", "-f", file)

    def rules(self):
        return self._run("/usr/sbin/nft", "list", "ruleset")

    def host_inside(self, name):
        return Inside(self, name)

    def serve(self, upnp=True, natpmp=True):
        """Starts miniupnpd. natpmp stands for PCP as well."""
        yes = {True: "yes", False: "no"}
        config = self.net.dir / f"{self.host.name}-miniupnpd.conf"
        config.write_text(CONFIG.format(upnp=yes[upnp], natpmp=yes[natpmp], uuid=uuid.uuid4()))
        # Its notes of open ports would be those of any other on this machine.
        pid = self.net.dir / f"{self.host.name}-miniupnpd-{len(self.host.procs)}.pid"
        self.upnpd = self.host.start("miniupnpd", [MINIUPNPD, "-d", "-f", config, "-P", pid])
        self.upnpd.wait_text("(?i)listening", 10)

    def restart(self, **kwargs):
        """As when the power was gone: what was mapped is not any more."""
        self.upnpd.kill()
        self.upnpd.popen.wait(10)
        self._run("/usr/sbin/nft", "flush", "ruleset")
        self.nft(RULES)
        self.serve(**kwargs)
