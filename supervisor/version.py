"""The version of ctr. Also in pyproject.toml; a test holds them together. The installed tree has no package metadata to
read it from."""

VERSION = "0.1.0"
