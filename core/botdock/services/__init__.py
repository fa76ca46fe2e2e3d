"""The services: each does one thing, and knows no other."""
