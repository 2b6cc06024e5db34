# Of what `perf script` prints, a line a stack, outermost first and with how often it was seen, as flamegraphs
# are made of; and to the file `parts` a line a sample: the part of the program, the library, and the function.

# The part for which something ran: the first of these that any of its frames is of.
function part_of(stack, thread) {
  if (thread ~ /^rdk:/) return "Kafka's client, its own threads"
  if (stack ~ /hyper::proto::h1/) return "HTTP connections: writing requests, reading answers"
  if (stack ~ /processor::recorder|sqlx/) return "the recorder"
  if (stack ~ /outbound::|hyper_util::client/) return "the attempt: headers, signature, pool, deadline"
  if (stack ~ /processor::consumer|rdkafka|rd_kafka/) return "reading Kafka"
  if (stack ~ /processor::/) return "the engine: fan-out, turns, what becomes of attempts"
  if (stack ~ /tokio::/) return "the runtime: scheduling, waiting for sockets, timers"
  return "else"
}

/^[^ \t]/ { thread = $0; sub(/[ \t]+$/, "", thread); next }
/^[ \t]/ {
  # "address symbol+offset (library)"
  library = $NF; gsub(/[()]/, "", library); sub(/.*\//, "", library); sub(/\[.*\]/, "the kernel", library)
  $1 = ""; $NF = ""; gsub(/^ +| +$/, ""); gsub(/;/, ":"); gsub(/ /, "_")
  if (depth == 0) innermost = library "\t" $0
  stack = depth++ == 0 ? $0 : $0 ";" stack
  next
}
depth > 0 {
  count[thread ";" stack]++
  printf "%s\t%s\n", part_of(stack, thread), innermost > parts
  depth = 0
}
END { for (one in count) print one, count[one] }
