"""The promises of the whole program, proved from captures to results."""
