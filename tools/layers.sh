#!/usr/bin/env bash
# Rooms by rank, lowest first; a file may include its own room and rooms of a lower rank only.
declare -A rank=([base]=0 [codec]=1 [schema]=2 [parquet]=2 [dedup]=3 [iceberg]=3 [event]=4 [net]=4 [shred]=5 [aws]=5
  [store]=6 [catalog]=6 [source]=7 [lease]=7 [table]=8 [protocol]=9 [maintain]=10 [pipeline]=11 [gen]=11 [health]=12 [lambda]=13 [replay]=13 [cli]=14)
bad=0
while IFS=: read -r file line text; do
  from=${file#src/}; from=${from%%/*}; to=$(sed -E 's/.*"([a-z]+)\/.*/\1/' <<<"$text")
  [ "$from" = "$to" ] && continue
  if [ -z "${rank[$to]:-}" ] || [ -z "${rank[$from]:-}" ] || [ "${rank[$to]}" -ge "${rank[$from]}" ]; then
    echo "$file:$line: $from must not include $to"; bad=1
  fi
done < <(grep -rnE '^#include "[a-z]+/' src --include='*.[ch]')
[ $bad = 0 ] && echo "layers: no include runs upwards"
exit $bad
