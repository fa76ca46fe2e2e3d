"""Run botdock's bots in containers without a daemon: crun or runc."""
