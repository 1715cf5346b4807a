"""The log relay: one process that carries the output of every container to journald."""
