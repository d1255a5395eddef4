"""From track files to a data set."""
