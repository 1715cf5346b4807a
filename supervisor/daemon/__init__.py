"""The program ctr-supervisor: watches, decides nothing that systemd decides, may die at any moment."""
