"""Stopping a container that nobody uses: what watches its sockets, and the program that ends it."""
