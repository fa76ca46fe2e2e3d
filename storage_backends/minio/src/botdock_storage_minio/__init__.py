"""Keep botdock's code, results and logs in MinIO or any other S3."""
