"""`rmap-id`, the precise scheme of November 2023: the policy and its counters, seqcount, sub-IDs and rmap values."""

from foliolab.policies.rmap_id.policy import CLAIMS, POLICY

__all__ = ["CLAIMS", "POLICY"]
