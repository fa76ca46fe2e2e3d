"""The engine `kubernetes`: bots as Jobs of a cluster."""
