"""Run Python 3.13 bots with botdock."""
