"""The explored attack: explicit-state search over the interleavings of a few threads.

Each access to shared memory is one transition. `attack` decides which programs come when: the listed ones (`programs`),
then those that `derived` makes. `crew` shares them out to processes, `search` searches one, and `coverage` keeps what
came of it. `world` prepares the machine, `trie` and `thread_run` find the steps of each thread by running engine and
policy, `exploration` drives the compiled searches (`breadth_first`, `pct`), `judge` checks quiescent states, and
`witness` turns a path into a counterexample.
"""
