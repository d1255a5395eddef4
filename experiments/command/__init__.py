"""How each of the commands behaves: its ends, signals, locks, storage, words and processes."""
