"""Keep botdock's code, results and logs in a local folder."""
