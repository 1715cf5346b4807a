"""ctr: containers supervised by systemd. Imports nothing: importing a submodule runs this file."""
