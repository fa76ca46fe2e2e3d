"""Export botdock's metrics to Prometheus."""
