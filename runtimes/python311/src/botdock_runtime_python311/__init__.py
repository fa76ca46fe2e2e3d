"""Run Python 3.11 bots with botdock."""
