"""Spec in, files in memory out: the OCI configuration, the unit drop-in, the launcher's plan. Pure."""
