"""D-Bus io.ctr.Supervisor1: translates the model for others, decides nothing."""
