"""Run botdock's bots as plain processes: no daemon, no isolation."""
