"""What strangers can do to a server, tried: see `__main__`."""
