"""The pages that reports are written on.

`page.Page` is what most reports know: lines and tables of words with a tone. `terminal` shows such a page with rich,
and `document` keeps it as Markdown or HTML. `plain_text` is for short reports that must start fast: it needs no
library.
"""
