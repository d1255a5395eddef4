"""Programs: the only place with flags, clocks, folders, signals and words for the user."""
