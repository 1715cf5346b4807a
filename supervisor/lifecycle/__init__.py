"""What a container is doing: observations in, state and events out. Pure, no clock."""
