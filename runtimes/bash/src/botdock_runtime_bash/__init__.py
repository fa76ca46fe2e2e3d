"""Run bash jobs with botdock."""
