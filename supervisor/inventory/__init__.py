"""What is deployed, as anybody on this host may read it."""
