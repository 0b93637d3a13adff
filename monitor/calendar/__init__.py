"""Reports by the calendar: periods, what is due, and the process that makes it."""
