"""From a trained model and songs to genres."""
