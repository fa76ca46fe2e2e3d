"""The command line of botdock."""
