"""The window: `python3 gui` in a checkout, `python -m foliolab.gui` where FolioLab is installed."""
