"""The settings of the service: what a file may say, read with all its faults."""
