"""The ensemble file: what is in it, and its checksums."""
