"""What a container uses: control groups, pressure and interfaces, read from the kernel."""
