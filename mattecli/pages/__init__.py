"""HTML pages of reports and evaluations, each one file."""
