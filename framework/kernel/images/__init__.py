"""Kernels by name: images in the cache folder, and where they come from. No kernel is part of FolioLab."""
