"""Live traffic: rings that take packets, workers without rights, and sessions that judge what comes."""
