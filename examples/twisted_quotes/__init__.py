"""A quote of the day as a service for Twisted's `twist`, over plain TCP and over PB."""
