/* The sentences that several formats share: what was sampled, and how much can be trusted. One line
 * each, ASCII. Pure; any thread. */
#pragma once

struct buffer;
struct estimate_sum;
struct snapshot;

/* "redis-server[4242]", "redis-server[4242] (exited)" */
void describe_process(struct buffer *out, const struct snapshot *snapshot);
/* "sampled every 512 KiB since 2026-11-23 09:14:02 UTC (3h 12m), nothing lost" */
void describe_sampling(struct buffer *out, const struct snapshot *snapshot);
/* "nothing lost", "lost 12 samples (6.10 MiB) and 3 frees" */
void describe_losses(struct buffer *out, const struct snapshot *snapshot);
/* "1.27 GiB (95%: 1.22..1.32 GiB, 2601 samples)"; `snapshot` bounds what has no samples. */
void describe_bytes(
	struct buffer *out, const struct estimate_sum *sum, const struct snapshot *snapshot);
/* The interval that limits what went unseen: the largest one that was in force. */
double describe_largest_interval(const struct snapshot *snapshot);
