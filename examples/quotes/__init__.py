"""A quote of the day, over plain TCP and over PB."""
