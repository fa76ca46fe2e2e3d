"""The runner that stays: it takes what was asked for, and keeps bots running."""
