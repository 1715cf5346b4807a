"""The only writer of rendered state: containers into /var/lib/ctr and systemd's unit directory, and out again."""
