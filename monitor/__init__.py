"""All side effects: files, threads, processes, the command line."""
