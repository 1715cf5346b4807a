"""Probes of running containers: the effects around `supervisor.health`, and the program that systemd starts."""
