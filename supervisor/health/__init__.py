"""Health of containers as a pure state machine: results of probes and the time in, states and actions out."""
