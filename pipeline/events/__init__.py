"""What happened: the canonical event, the logs it is read from, corrections, tracks."""
