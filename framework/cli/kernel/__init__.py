"""Compare the model with the running kernel, and measure both."""
