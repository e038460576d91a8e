"""One run as many processes: how they are started, and which of them this one is."""
