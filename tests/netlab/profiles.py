"""Links by name. Each describes one host's access link; what a property means is in README.md.

Delay, jitter and loss count on both ends: the round trip between two hosts of one profile is four
times its delay, and a loss of 1 % on both is 2 % of the packets each way.
"""

# As fast as the machine. What another profile does not name, it has from here.
UNSHAPED = {"up": "unlimited", "down": "unlimited", "delay": "0", "jitter": "0", "loss": 0,
            "queue": "100ms", "reorder": False}

PROFILES = {
    "unshaped": UNSHAPED,
    # RTT 0.4 ms, and the little memory of a switch.
    "lan": {"up": "1gbit", "down": "1gbit", "delay": "0.1ms", "queue": "4ms"},
    # RTT 10 ms: servers, and homes with fibre, in one country.
    "fibre": {"up": "500mbit", "down": "500mbit", "delay": "2.5ms", "queue": "30ms"},
    # RTT 50 ms: homes with cable, on one continent.
    "wan": {"up": "40mbit", "down": "100mbit", "delay": "12.5ms", "queue": "100ms"},
    # RTT 60 ms, and an uplink that fills soon.
    "dsl": {"up": "2mbit", "down": "16mbit", "delay": "15ms", "queue": "200ms"},
    # RTT 200 ms: the other side of the world.
    "far": {"up": "40mbit", "down": "100mbit", "delay": "50ms", "queue": "200ms"},
    # As wan, and 1 % of the packets lost on each end.
    "lossy": {"up": "40mbit", "down": "100mbit", "delay": "12.5ms", "loss": 0.01,
              "queue": "100ms"},
    # RTT 80 to 160 ms, little loss, and the long queue of a base station.
    "mobile": {"up": "10mbit", "down": "40mbit", "delay": "20ms", "jitter": "20ms",
               "loss": 0.001, "queue": "400ms"},
}


def described(profile, changes):
    """Every property of a link: the named profile's, or what `changes` has instead.

    Raises KeyError when there is no such profile.
    """
    return {**UNSHAPED, **PROFILES[profile], **changes}
