"""One run: what was asked of it, its plan, its folder, its training and its summary."""
