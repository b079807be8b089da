"""What follows from a policy's answers: who asks it decides by them, and shows figures made of them.

The askers are modelled once, over any policy: `decisions` (specification 2.8) and `figures` (3.2 and 3.3); `partial`
follows the deferred split queue (1.6 and 3.4). Each is asked at every moment of a course, and the truth (the page
tables) beside it.
"""
