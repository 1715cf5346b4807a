"""Networks of containers: what they are given at deploy time, and the namespaces made of it at start."""
