"""What a container is: frozen values that every source compiles into and everything else is rendered from. Pure."""
