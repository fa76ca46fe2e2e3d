"""`python -m botdock_cli`: the same as `botdock`."""

from botdock_cli.main import run

run()
