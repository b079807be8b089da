"""The reference of everything that authors use, made from signatures, docstrings and declarations.

`foliolab reference`, docs/reference.txt and the pages of the documentation show the same tables.
"""
