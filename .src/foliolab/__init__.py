"""FolioLab: a workbench for schemes that track who owns a large folio."""
