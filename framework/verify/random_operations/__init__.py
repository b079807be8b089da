"""The random attack: sequences of whole engine operations that Hypothesis chooses, and shortens."""
