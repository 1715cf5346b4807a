"""Command lines of the OCI runtimes, crun and runc. Pure."""
