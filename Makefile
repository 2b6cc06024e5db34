# Every task of this repository by name; the work itself is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help infra-start infra-stop infra-status run-system run-api run-processor run-webhook \
	demo test test-console bench bench-console bench-core bench-isolation bench-record bench-scale bench-stats \
	profile soak sqlx-check fmt lint ci

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

infra-start: ## Start Postgres and Kafka and wait until both answer (INFRA=docker|native names the way)
	@scripts/infra start

infra-stop: ## Stop Postgres and Kafka; their data stays
	@scripts/infra stop

infra-status: ## Say what of it runs
	@scripts/infra status

run-system: ## Publish temperature events (options: ARGS="--help")
	@scripts/run system $(ARGS)

run-api: ## Serve the API on port 9090 (ARGS=…)
	@scripts/run api $(ARGS)

run-processor: ## Deliver events to the subscribers (ARGS=…)
	@scripts/run processor $(ARGS)

run-webhook: ## Receive deliveries on port 9099 (ARGS=…)
	@scripts/run webhook $(ARGS)

demo: ## Show it all at work, with a receiver that fails (DEMO_SECONDS=60 ends by itself)
	@scripts/demo

test: ## Run all tests against a Postgres and a Kafka of their own (ARGS go to cargo test, and leave out the browser)
	@scripts/test $(ARGS)
	@[ -n "$(ARGS)" ] || scripts/test-console

test-console: ## Run the tests of the console in a real browser (Chromium), against the real programs
	@scripts/test-console $(ARGS)

bench: ## Measure deliveries a second, what one costs, and how late it is (ARGS="--help" shows options)
	@scripts/bench deliveries $(ARGS)

bench-console: ## Print when the console's largest lists have their first byte, and what they weigh
	@scripts/bench-console

bench-core: ## Measure what the pure core costs: match, sign, watermark, breaker, flush (ARGS=match: that alone)
	@cargo bench --locked -p processor -p signature --bench core --bench sign -- $(ARGS)

bench-isolation: ## Measure what bad receivers, and one far behind, cost the others (ARGS="--help" shows options)
	@scripts/bench isolation $(ARGS)

bench-record: ## What recording a delivery costs Postgres, beside what it was before
	@scripts/bench-record

bench-scale: ## Measure what more subscriptions, a fan-out to all and more replicas change (ARGS="--help")
	@scripts/bench scale $(ARGS)

bench-stats: ## Measure what the statistics cost, to ask for and to count (ARGS="--attempts 10000000 --plans")
	@scripts/bench stats $(ARGS)

profile: ## Show where the processor's time goes while it drains a topic, as perf sees it
	@scripts/profile

soak: ## Look for an hour at what grows under a steady load with a few dead receivers (ARGS="--minutes 180")
	@scripts/bench soak $(ARGS)

sqlx-check: ## Check .sqlx/ against a freshly migrated database
	@scripts/sqlx-check

fmt: ## Format the code
	@cargo fmt --all

lint: ## Check format and lints
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings

ci: ## Run what every change must pass
	@.ci/run
