"""Keep what botdock stores in one SQLite file."""
