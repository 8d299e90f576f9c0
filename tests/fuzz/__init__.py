"""Coverage-guided fuzzing of all that reads bytes from outside: `make fuzz SECONDS=60`."""
