"""The program behind ``systemctl start ctr@NAME``: executes a plan, hands the container to systemd, exits."""
