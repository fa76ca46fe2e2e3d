"""Run Python 3.12 bots with botdock."""
