"""The program that forwards a container's sd_notify(3) messages to systemd; resident only while messages come."""
