#!/bin/sh
# FolioLab: what a program does with its memory, recorded by bpftrace. As root:
#   sh FILE COMMAND ARGUMENT...    or, until Ctrl-C, what runs:    sh FILE -p PID
# Then, where FolioLab is installed: foliolab import foliolab.bpftrace.txt
events=/sys/kernel/tracing/events
[ -d $events ] || mount -t tracefs nodev ${events%/events} || exit 1
if [ "$1" = -p ]; then child=$2; else sh -c 'kill -STOP $$; exec "$@"' sh "$@" & child=$!; fi
{ printf '%s\n' "BEGIN { @t[$child] = 1; printf(\"@MAGIC@\\n\"); }"
# without the tracepoints that this kernel has not
awk -v events=$events '/^tracepoint:/ { split($1, at, ":"); gone = system("[ -d " events "/" at[2] "/" at[3] " ]") } !gone' <<'END'
@PROGRAM@
END
printf '%s\n' 'interval:ms:10 /!@ready/ { @ready = 1; printf("# attached\n"); }'
printf '%s\n' 'END { clear(@t); clear(@ready); }'; } > foliolab.bt
grep -q group_dead $events/sched/sched_process_exit/format || sed -i 's/args->group_dead/pid == tid/' foliolab.bt
export BPFTRACE_PERF_RB_PAGES=8192 BPFTRACE_MAP_KEYS_MAX=65536
bpftrace -B line foliolab.bt > foliolab.bpftrace.txt &
tracer=$!
trap 'kill -INT $tracer' INT TERM
until grep -q attached foliolab.bpftrace.txt; do
  kill -0 $tracer || { [ "$1" = -p ] || kill -KILL $child; exit 1; }
  sleep 1
done
if [ "$1" = -p ]; then wait $tracer; exit; fi
kill -CONT $child
wait $child
kill -INT $tracer
wait $tracer
