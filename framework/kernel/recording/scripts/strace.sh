#!/bin/sh
# FolioLab: which processes can share memory, recorded by strace; without root, and without page faults.
#   sh FILE COMMAND ARGUMENT...    or, until Ctrl-C, what runs:    sh FILE -p PID
# Then, where FolioLab is installed: foliolab import foliolab.strace.txt
exec strace @OPTIONS@ -o foliolab.strace.txt "$@"
