"""The ensemble file: what is in it, its checksums, and changes that come all at once."""
