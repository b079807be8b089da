/* What kbuild generates; this tree needs none of it. */
