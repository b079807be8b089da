"""How designs detect partially mapped folios in recorded programs, and what each costs."""
