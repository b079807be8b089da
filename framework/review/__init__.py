"""A review: what FolioLab knows about a policy, as a paragraph for each of the five questions.

`review` has its parts, `questions` answers them: from kept verdicts and witnesses where they are of this text, and by
short measurements elsewhere. What was not measured is said.
"""
