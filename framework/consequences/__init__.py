"""What follows from a policy's answers: the kernel's decisions that depend on them, and the figures of /proc.

Decisions are those of askers, which plugins offer (`contract.asker`); figures are modelled in `figures` (specification
3.2 and 3.3). `partial` follows the deferred split queue (specification 1.6 and 3.4). All are evaluated
at every moment of a source, and compared with the truth: the page tables.
"""
