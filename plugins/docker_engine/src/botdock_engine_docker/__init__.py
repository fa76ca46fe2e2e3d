"""Run botdock's bots on a Docker engine, strictly isolated."""
