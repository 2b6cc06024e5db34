# What happens in the demo, scene by scene, and the balance at the end.

INTERRUPTED=''

tell_the_story() {
  BEGAN=$SECONDS
  say "1. Publishing $RATE recorded temperatures a second; each is delivered to $RECEIVER."
  say "   Look around meanwhile: $API/docs"
  start system "$SYSTEM/readyz" --replay data/temperatures.csv --rate "$RATE" --loop
  watch_for "$SCENE" || return 0

  say "2. The subscription gets a wrong key, and the receiver refuses: deliveries are retried after 1 s, 2 s and 3 s, and end as dead letters."
  use_key "$WRONG_KEY"
  watch_for "$SCENE" || return 0
  watch_until 30 some_are_dead || return 0

  say "3. The key is put right: what is new is delivered at once, what waits follows. The dead letters are sent again through the API."
  use_key "$KEY"
  watch_for 4 || return 0
  reprocess_all
  watch_for "$SCENE" || return 0

  say "4. The receiver is taken down. Its circuit opens: what happens now is held back by a row a partition, and only probes go out."
  stop webhook
  watch_for "$SCENE" || return 0

  say "5. The receiver is back: the next probe finds it, and what was held back is read from the topic again."
  start_receiver
  watch_until 30 is_caught_up || return 0

  say "6. All is well again. ${DEMO_SECONDS:+It ends by itself after $DEMO_SECONDS s; }Ctrl-C ends it with the totals."
  while watch_for 2; do :; done
}

# watch_for SECONDS: a line every two seconds; fails when it is time to end.
watch_for() {
  local until=$((SECONDS + $1))
  while [ "$SECONDS" -lt "$until" ]; do
    sleep 2 || true
    [ -z "$INTERRUPTED" ] || return 1
    check_services
    print_line
    ! time_is_up || return 1
  done
}

watch_until() {
  local until=$((SECONDS + $1))
  shift
  until "$@" || [ "$SECONDS" -ge "$until" ]; do watch_for 2 || return 1; done
}

time_is_up() { [ -n "${DEMO_SECONDS:-}" ] && [ $((SECONDS - BEGAN)) -ge $((DEMO_SECONDS - ENDING)) ]; }

some_are_dead() { [ "$(outcome dead_lettered)" -gt 0 ]; }

is_caught_up() { [ "$(how_it_fares)" = "closed 0" ]; }

use_key() {
  curl -sS -m 5 --fail-with-body -X PATCH "$API/subscriptions/$(subscription)" -H 'Content-Type: application/json' \
    -d "{\"auth_key\":\"$1\"}" >"$LOGS/changed.json" || fail "the API refused the key" "see $LOGS/changed.json"
}

subscribe() {
  curl -sS -m 5 --fail-with-body "$API/subscriptions" -H 'Content-Type: application/json' \
    -d "{\"name\":\"demo\",\"description\":\"the demo's receiver\",\"url\":\"$RECEIVER\",\"auth_key\":\"$KEY\",\"signing_secret\":\"$SIGNING_SECRET\"}" \
    >"$LOGS/subscription.json" || fail "the API refused the subscription" "see $LOGS/subscription.json"
}

# All that are dead letters now, a page at a time. A page that was requeued is no longer listed.
reprocess_all() {
  local ids requeued=0 n
  while true; do
    ids=$(dead_letter_ids)
    [ "$ids" != '[]' ] || break
    n=$(curl -sS -m 30 --fail-with-body "$API/dlqs" -H 'Content-Type: application/json' \
      -d "{\"dlqs\":$ids}" | jq '.requeued | length')
    [ "${n:-0}" -gt 0 ] || fail "the API requeues none of the dead letters it lists" "see $LOGS/api.log"
    requeued=$((requeued + n))
  done
  say "   $requeued dead letters sent again"
}

dead_letter_ids() {
  curl -sS -m 10 --fail-with-body "$API/dlqs?limit=1000" | jq -c 'if type == "array" then . else .items end | map(.id)'
}

# Publishing ends, what is open is finished, and what was published is compared with what arrived.
draw_the_balance() {
  say "Finishing: nothing more is published, what is open is delivered."
  stop system
  [ -n "${PIDS[webhook]:-}" ] || start_receiver
  use_key "$KEY"
  ON_TOPIC=$(events_on_topic)
  finish
  print_balance
}

# Waits until all is settled, for as long as something is being delivered.
finish() {
  local before='' now deadline
  until all_is_settled; do
    now=$(delivered_events)
    [ "$now" = "$before" ] || deadline=$((SECONDS + PATIENCE))
    [ "$SECONDS" -lt "$deadline" ] || return 0
    before=$now
    sleep 2
    print_line
    [ "$(dead_now)" -eq 0 ] || reprocess_all
  done
}

all_is_settled() {
  [ "$(pending_now)" -eq 0 ] && [ "$(dead_now)" -eq 0 ] && [ "$(delivered_events)" -ge "$ON_TOPIC" ]
}

print_balance() {
  local delivered pending dead arrived repeated
  # What the receiver printed last may be on its way to the log.
  stop webhook
  delivered=$(delivered_events) pending=$(pending_now) dead=$(dead_now)
  arrived=$(received_ids | sort -u | wc -l) repeated=$(received_ids | sort | uniq -d | wc -l)
  say ""
  say "published                    $ON_TOPIC"
  say "delivered                    $delivered"
  say "still pending, dead letters  $pending, $dead"
  say "arrived at the receiver      $arrived, of them more than once $repeated"
  say "missing                      $((ON_TOPIC - arrived))"
  [ "$arrived" -eq "$ON_TOPIC" ] && [ "$delivered" -eq "$ON_TOPIC" ] && [ "$pending" -eq 0 ] && [ "$dead" -eq 0 ] ||
    fail "something did not arrive" "see the logs in $LOGS"
  say "Everything that was published arrived."
}
