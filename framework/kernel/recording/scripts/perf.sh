#!/bin/sh
# FolioLab: what a program does with its memory, recorded by perf. As root:
#   sh FILE COMMAND ARGUMENT...    or, until Ctrl-C, what runs:    sh FILE -p PID
# Then, where FolioLab is installed: foliolab import foliolab.perf.gz
events=
tracing=/sys/kernel/tracing/events
[ -d $tracing ] || mount -t tracefs nodev ${tracing%/events} || exit 1
for event in @EVENTS@; do
  if [ -d $tracing/${event%:*}/${event#*:} ]; then events="$events -e $event"
  else echo "this kernel has no $event" >&2; fi
  [ $event = kmem:mm_page_alloc ] && events="$events --filter migratetype==1"
done
trap : INT
perf record -q -k mono -c 1 -m 4096 -o foliolab.data $events "$@"
perf script --ns -f -F @FIELDS@ --show-lost-events -i foliolab.data | gzip > foliolab.perf.gz
