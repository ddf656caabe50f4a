"""The sections of one ensemble."""
