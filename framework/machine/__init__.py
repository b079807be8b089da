"""The machine: struct layouts, primitives, interpreted memory, and native code from the same text."""
