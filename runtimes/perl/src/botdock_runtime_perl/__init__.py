"""Run Perl programs with botdock."""
