"""Reports: what commands print and write. They render results, and compute nothing that a result does not say.

| command | module |
|---|---|
| compare | comparison/terminal, prediction, comparison/csvfile |
| report (md, html, csv, png, svg) | formats, then comparison/{matrix, markdown, html, csvfile, pictures} or studies |
| diff | difference |
| precision, consequences | precision, consequences |
| replay | replay |
| verify, check | verify, conformance, interleaving |
| step | stepping |
| run (a scenario) | scenario |
| show, list, doctor | anatomy, listing, health |
| record, import | recording |
| kernel bench, check, calibrate | kernelbench, kernelcheck, calibration |

`pages` holds the kinds of output; `words` holds texts that several reports share; `progress` shows how far a run is;
`result_files` reads a result of any kind.
"""
