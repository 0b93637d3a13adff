"""What was found, as people read it: pure functions from a result to text, HTML and JSON."""
