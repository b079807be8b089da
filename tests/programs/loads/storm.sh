#!/bin/bash
# A shell with some memory of its own that forks all the time: nested subshells, pipelines, substitutions.
# storm.sh ROUNDS OUT
rounds=${1:-200}
declare -a words
for ((i = 0; i < 60000; i++)); do words[i]="word number $i of a shell that remembers more than it should"; done
for ((i = 0; i < rounds; i++)); do
  line=$(printf '%s\n' "${words[i]}" | tr a-z A-Z)
  (
    words[i + 100]="changed in a subshell"
    (
      words[i + 200]="changed two levels down"
      ( words[i + 300]="changed three levels down" )
      words[i + 400]="changed after a child was gone"
    )
  )
  for ((j = 0; j < 20; j++)); do words[(i * 37 + j * 997) % 60000]="$line $j"; done
done
[ -z "$2" ] || echo "$rounds" >"$2"
