"""Reports: each renders a result and its comparison, none computes."""
