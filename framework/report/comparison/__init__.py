"""A comparison of policies, as `foliolab compare` and `foliolab report` show it.

`terminal` is for the terminal, `csvfile` for a table program. `matrix` gathers policies × workloads for the documents:
`markdown`, `html` (with the small pictures of `svg`) and `pictures` (PNG and SVG files, drawn by matplotlib).
"""
