"""The parts of scripts/bench: one file each for the swarm, the clients, the clock and the table."""
