"""From a command line or a file to objects: composed, checked, trusted, built."""
