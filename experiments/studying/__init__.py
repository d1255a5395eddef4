"""The report's figures as many paired runs, planned, estimated and trained."""
