"""The random attack: sequences of whole operations, generated and shrunk by Hypothesis."""
