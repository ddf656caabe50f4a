"""The pictures of docs/physics/when_numbers_lie.md."""
