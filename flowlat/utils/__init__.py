"""What everything stands on: errors, files, random streams, limits, numbers as text."""
