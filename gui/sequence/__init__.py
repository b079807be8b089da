"""A counterexample as a sequence diagram."""
