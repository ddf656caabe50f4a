"""One training, or several over each other; and what follows a training in the terminal."""
