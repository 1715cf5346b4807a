"""Prometheus metrics: translates what the supervisor and the kernel say, decides nothing."""
