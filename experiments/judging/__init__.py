"""From a study's results to the report's claims, each with a verdict."""
