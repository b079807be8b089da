"""The explored attack: every interleaving of a few threads, each access to shared memory a step of its own."""
