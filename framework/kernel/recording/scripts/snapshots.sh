#!/bin/sh
# FolioLab: which process maps which folio, again and again, with sh, awk, dd and od only. As root:
#   sh FILE SECONDS TIMES PID|NAME... > foliolab.jsonl     the processes and their descendants; TIMES 0: until Ctrl-C
# Then, where FolioLab is installed: foliolab import foliolab.jsonl
# For days: OUT=foliolab MIB=64 FILES=20 nohup sh FILE 60 0 NAME... &    begins a file after 64 MiB, packs the full ones,
# removes all but the last 20, goes on behind them when it is started again, and finds a NAME that was started again.
# Then: cat foliolab.*.jsonl* | foliolab import - -o foliolab.folio     (gunzip -c those that end with .gz first)
pause=$1 times=$2 limit=${BYTES:-$((${MIB:-64} * 1048576))} number=1000000 file=; shift 2
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
begin() { # a file behind those that are there; without OUT there is one
  for file in "$OUT".*.jsonl*; do [ -n "$OUT" ] && [ -e "$file" ] && number=${file#"$OUT".} number=${number%%.*}; done
  number=$((number + 1)); file=$OUT.$number.jsonl; [ -n "$OUT" ] && exec >> "$file"
  [ "$number" -gt 1000001 ] && echo # behind a line that was cut off
  echo "{\"foliolab\":\"snapshots\",\"version\":1,\"boot\":\"$(cat /proc/sys/kernel/random/boot_id)\"}"
}
turn() { # to the next file, if this one is full
  [ -z "$OUT" ] || [ "$(wc -c < "$file")" -lt "$limit" ] && return
  gzip "$file" 2>/dev/null; set -- "$OUT".*.jsonl*
  while [ $# -ge "${FILES:-20}" ]; do rm -f "$1"; shift; done; begin
}
begin
while :; do
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v roots="$*" '
    { pid = $1; name = $0; sub(/^[^(]*\(/, "", name); rest = name; sub(/\)[^)]*$/, "", name); sub(/^.*\) /, "", rest)
      split(rest, f, " "); up[pid] = f[2]; start[pid] = f[20]; state[pid] = f[1]; gsub(/["\\[:cntrl:]]/, "?", name); comm[pid] = name }
    END { n = split(roots, r, " "); for (i = 1; i <= n; i++) for (p in comm) if (p == r[i] || comm[p] == r[i]) kept[p] = 1
      do { more = 0; for (p in up) if (!(p in kept) && (up[p] in kept)) more = kept[p] = 1 } while (more)
      for (p in kept) if (p in up && state[p] != "Z") print p, up[p], start[p], comm[p] }' > "$tmp/processes"
  while read -r pid parent start comm; do
    echo "P $pid $parent $start $comm"
    awk 'function number(hex,  i, n) { for (i = 1; i <= length(hex); i++) n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1; return n }
      substr($2, 4) == "p" && substr($2, 1, 3) != "---" && ($5 == 0 || substr($2, 2, 1) == "w") && $6 !~ /^\[v/ {
        split($1, at, "-"); page = number(at[1]) / 4096; printf "%.0f %.0f\n", page, number(at[2]) / 4096 - page }' "/proc/$pid/maps" |
    while read -r page nr; do
      echo "R $page"; dd if="/proc/$pid/pagemap" bs=8 skip="$page" count="$nr" 2>/dev/null | od -An -v -tu4
    done
  done < "$tmp/processes" 2>/dev/null | awk '
    $1 == "P" { print; next } $1 == "R" { page = $2; next }
    { for (i = 1; i < NF; i += 2) { high = $(i + 1)  # bit 63: present, bit 61: of a file or shared
        if (high >= 2147483648 && int(high / 536870912) % 2 == 0 && (pfn = high % 8388608 * 4294967296 + $i) > 0)
          printf "%.0f %.0f\n", page, pfn
        page++ } }' > "$tmp/pages"
  # kpageflags has 512 frames in 4096 bytes; ranges that are near each other are read in one go
  awk '$1 != "P" { print int($2 / 512) }' "$tmp/pages" | sort -un | awk '
    NR > 1 && $1 > last + 8 { print low, last - low + 1; low = $1 } NR == 1 { low = $1 } { last = $1 }
    END { if (NR) print low, last - low + 1 }' > "$tmp/windows"
  read -r up idle < /proc/uptime
  while read -r low count; do
    echo "W $low"; dd if=/proc/kpageflags bs=4096 skip="$low" count="$count" 2>/dev/null | od -An -v -tu4
  done < "$tmp/windows" | awk -v now="${up%.*}${up#*.}0000000" -v pages="$tmp/pages" '
    function flush() { if (nr) printf "%s[%.0f,%d,%.0f,%d]", (runs++ ? "," : ""), first, nr, frame, order; nr = 0 }
    function close_folio(  size) { if (head != "") { for (size = 0; 2 ^ (size + 1) <= pfn - head; size++); of[head] = large ? size : 0; head = "" } }
    BEGIN { while ((getline line < pages) > 0) { split(line, f, " "); if (f[1] != "P") wanted[f[2]] = 1 } close(pages) }
    $1 == "W" { close_folio(); pfn = $2 * 512; next }
    { for (i = 1; i < NF; i += 2) { if (int($i / 65536) % 2 == 0) { close_folio(); head = pfn; large = int($i / 32768) % 2 }
        if (pfn in wanted) wanted[pfn] = head; pfn++ } }
    END { close_folio(); printf "{\"time\":%s,\"processes\":[", now
      while ((getline line < pages) > 0) {
        split(line, f, " ")
        if (f[1] == "P") { flush(); name = line; sub(/^P [0-9]+ [0-9]+ [0-9]+ /, "", name)
          printf "%s{\"pid\":%s,\"parent\":%s,\"start\":%s,\"comm\":\"%s\",\"runs\":[", (any++ ? "]}," : ""), f[2], f[3], f[4], name; runs = 0; continue }
        folio = wanted[f[2]]; size = of[folio] + 0
        if (!(nr && f[1] == first + nr && f[2] == frame + nr && size == order && (!order || folio == last))) { flush(); first = f[1] + 0; frame = f[2] + 0; order = size; last = folio }
        nr++ }
      flush(); print (any ? "]}" : "") "]}" }' || exit 1
  [ -s "$tmp/processes" ] || echo "$(date): none of these runs: $*" >&2
  turn; times=$((times - 1)); [ "$times" -eq 0 ] && exit; sleep "$pause"
done
