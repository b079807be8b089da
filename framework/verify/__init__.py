"""The verifier: attacks on a policy's text, and the counterexamples that they find."""
