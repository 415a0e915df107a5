"""The spike of decision 0001: one typed source, three builds."""
