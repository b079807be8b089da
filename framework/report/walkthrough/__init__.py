"""A run step by step, to send: `walkthrough` has its parts, other modules make it of a run, and write it.

`counterexample` makes it of a counterexample, `explored` of steps of a scenario, a sharing pattern or a trace. `html`
writes one page that needs nothing else, `mail` a text of at most 72 columns.
"""
