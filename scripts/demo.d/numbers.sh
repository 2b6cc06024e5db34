# What the demo shows: read from the metrics of the services, the receiver and the database.

# Fetches the metrics once, so that a line's numbers belong together. The previous ones stay, for
# latencies of the time between. A service that is down keeps its last numbers.
take_numbers() {
  local name
  for name in system processor; do
    [ ! -e "$LOGS/$name.metrics" ] || cp "$LOGS/$name.metrics" "$LOGS/$name.before"
  done
  # What is delivered by the first look is published by the second.
  fetch processor "$PROCESSOR/metrics"
  fetch system "$SYSTEM/metrics"
}

fetch() {
  [ -n "${PIDS[$1]:-}" ] || return 0
  curl -sf -m 2 "$2" -o "$LOGS/$1.fresh" && mv "$LOGS/$1.fresh" "$LOGS/$1.metrics" || true
}

# metric SERVICE NAME [LABEL]: the sum over all series of that name, and label if one is given.
metric() {
  [ -e "$LOGS/$1.metrics" ] || { printf 0; return; }
  awk -v name="$2" -v label="${3:-}" '
    $1 == name || (index($1, name "{") == 1 && index($1, label)) { sum += $NF }
    END { printf "%d", sum }' "$LOGS/$1.metrics"
}

outcome() { metric processor processor_outcomes_total "outcome=\"$1\""; }

# By the metrics, and when publishing has ended by what the topic holds.
published() {
  [ -z "${ON_TOPIC:-}" ] || { printf '%s' "$ON_TOPIC"; return; }
  metric system system_events_published_total
}

# quantile Q: of the latencies since the previous numbers, in words; interpolated in its bucket.
quantile() {
  [ -e "$LOGS/processor.before" ] || { printf -- '-'; return; }
  awk -v q="$1" '
    !/^processor_delivery_seconds_bucket\{/ { next }
    { match($1, /le="[^"]*"/); le = substr($1, RSTART + 4, RLENGTH - 5) }
    FNR == NR { before[le] += $NF; next }
    !(le in count) { bounds[++n] = le }
    { count[le] += $NF }
    END {
      for (i = 1; i <= n; i++) if (bounds[i] == "+Inf") total = count["+Inf"] - before["+Inf"]
      if (total == 0) { print "-"; exit }
      for (i = 1; i <= n; i++) {
        le = bounds[i]; seen = count[le] - before[le]
        if (seen >= q * total) {
          if (le == "+Inf") { printf "> %g s", low; exit }
          at = low + (le - low) * (q * total - past) / (seen - past)
          if (at < 1) printf "%.1f ms", at * 1000; else printf "%.1f s", at
          exit
        }
        low = le; past = seen
      }
    }' "$LOGS/processor.before" "$LOGS/processor.metrics"
}

print_line() {
  take_numbers
  local circuit held_back
  read -r circuit held_back < <(how_it_fares)
  printf '%4ds  published %6d  delivered %6d  retried %5d  dead letters %5d  pending %5d  circuit %-9s  held back in %2d  p50 %7s  p99 %7s\n' \
    "$((SECONDS - BEGAN))" "$(published)" "$(outcome delivered)" "$(outcome retry)" \
    "$(outcome dead_lettered)" "$(pending_now)" "$circuit" "$held_back" \
    "$(quantile 0.5)" "$(quantile 0.99)"
}

# The state of the subscription's circuit, and in how many partitions it is held back.
how_it_fares() {
  curl -sS -m 5 --fail-with-body "$API/subscriptions/$(subscription)" |
    jq -r '[.circuit.state, .held_back.partitions // 0] | join(" ")'
}

subscription() { jq -r .id "$LOGS/subscription.json"; }

# sql STATEMENT: prints the one value it gives.
sql() { scripts/infra psql demo <<<"$1"; }

pending_now() { sql 'SELECT count(*) FROM pending_deliveries'; }
dead_now() { sql 'SELECT count(*) FROM dead_letters'; }
delivered_events() { sql "SELECT count(DISTINCT event_id) FROM attempts WHERE outcome = 'delivered'"; }

# The ids in the lines that the receiver printed, in all its lives, one for each time it came.
received_ids() {
  grep -v '^not received' "$LOGS/webhook.log" | sed -n 's/.*, id \([^,]*\), attempt.*/\1/p'
}

# How many records the topic holds: the sum of its partitions' ends.
events_on_topic() {
  scripts/infra kafka offsets --topic demo | awk -F: '{ sum += $3 } END { printf "%d", sum }'
}
