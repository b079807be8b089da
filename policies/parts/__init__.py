"""Parts that several schemes share: per-page mapcounts, whole-folio statistics, and the conditions of reuse."""
