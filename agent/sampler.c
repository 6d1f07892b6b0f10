/*
 * The sampling rule. Invariant: countdown + residual is the distance to the thread's next sample
 * point, counted from before the next allocation, and at least 1; unless interval_bytes is 0: then the
 * thread has no point, and draws one before it samples.
 *
 * The interval is one word: what was asked for, and how often the brake has doubled that.
 */
#include "sampler.h"
#include <stdatomic.h>

#define BRAKE_WINDOW_NS UINT64_C(1000000000)
#define CALM_WINDOWS	4u /* the rate must be low for so long before T is halved */

static struct {
	struct sampler_settings settings;
	_Atomic uint64_t interval; /* T as asked for << 8 | doublings */
	_Atomic uint64_t tick;
	_Atomic uint64_t next_ordinal;
	_Atomic uint64_t window_start_ns;
	_Atomic uint64_t window_samples;
	_Atomic uint32_t calm_windows;
	_Atomic uint64_t crowded_ns; /* when T was last doubled because memory is nearly used up */
	_Atomic uint64_t crowd;	     /* how much of it was used then */
} sampler;

#define DOUBLINGS_BITS 8
#define DOUBLINGS_MASK UINT64_C(0xff)

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void sampler_seed(uint64_t rng[2], uint64_t seed, uint64_t ordinal)
{
	uint64_t state = seed;

	state = splitmix(&state) ^ ordinal;
	rng[0] = splitmix(&state);
	rng[1] = splitmix(&state);
	if (rng[0] == 0 && rng[1] == 0)
		rng[0] = 1;
}

/* xorshift128+ (Vigna 2014), constants 23, 18, 5. */
uint64_t sampler_next(uint64_t rng[2])
{
	uint64_t x = rng[0];
	uint64_t y = rng[1];

	rng[0] = y;
	x ^= x << 23;
	rng[1] = x ^ y ^ (x >> 18) ^ (y >> 5);
	return rng[1] + y;
}

/*
 * Von Neumann's comparison method (1951; Devroye, Non-Uniform Random Variate Generation, IV.2):
 * exact, no logarithm. A descending run u1 > u2 > … of odd length happens with probability
 * exp(-u1); the number of failures before the first success is the integer part, its u1 the
 * fraction. 4.3 uniforms on average.
 */
uint64_t sampler_draw(uint64_t rng[2], uint64_t interval_bytes)
{
	uint64_t whole = 0;
	uint64_t fraction;

	for (;; whole++) {
		uint64_t last = fraction = sampler_next(rng);
		unsigned length = 1;

		for (uint64_t u; (u = sampler_next(rng)) < last; last = u)
			length++;
		/* exp(-64) never happens; a torn generator must not spin. */
		if ((length & 1) || whole >= 64)
			break;
	}
	__uint128_t scaled = (__uint128_t)fraction * interval_bytes;
	uint64_t bytes = whole * interval_bytes + (uint64_t)(scaled >> 64);

	/* ceil: P(threshold <= s) is then exactly 1 - exp(-s/T) for every whole s. */
	return bytes + ((uint64_t)scaled != 0 || bytes == 0);
}

void sampler_init(const struct sampler_settings *settings)
{
	sampler.settings = *settings;
	sampler_set_interval(0);
	sampler_set_tick(SAMPLER_TICK);
}

void sampler_reseed(uint64_t salt)
{
	sampler.settings.seed = splitmix(&(uint64_t){sampler.settings.seed ^ salt});
}

static uint64_t interval_of(uint64_t word)
{
	return word >> DOUBLINGS_BITS << (word & DOUBLINGS_MASK);
}

/* relaxed in all of these: see the header's table. */
uint64_t sampler_interval(void)
{
	return interval_of(atomic_load_explicit(&sampler.interval, memory_order_relaxed));
}

void sampler_set_interval(uint64_t interval_bytes)
{
	uint64_t word = atomic_load_explicit(&sampler.interval, memory_order_relaxed);

	if (interval_bytes == 0)
		interval_bytes = sampler.settings.interval_bytes;
	if (interval_bytes > SAMPLER_MAX_INTERVAL)
		interval_bytes = SAMPLER_MAX_INTERVAL;
	/* What is wanted already stays braked. */
	if (word >> DOUBLINGS_BITS != interval_bytes)
		atomic_store_explicit(
			&sampler.interval, interval_bytes << DOUBLINGS_BITS, memory_order_relaxed);
}

void sampler_set_tick(uint64_t bytes)
{
	atomic_store_explicit(&sampler.tick, bytes, memory_order_relaxed);
}

uint64_t sampler_tick(void)
{
	return atomic_load_explicit(&sampler.tick, memory_order_relaxed);
}

static void load_countdown(struct thread_state *state, uint64_t distance)
{
	uint64_t tick = sampler_tick();

	state->countdown = distance < tick ? distance : tick;
	state->residual = distance - state->countdown;
}

static void draw_point(struct thread_state *state)
{
	state->interval_bytes = sampler_interval();
	load_countdown(state, sampler_draw(state->rng, state->interval_bytes));
}

/* A new thread draws its point and only then subtracts: a countdown that began at 0 would count
 * every thread's first allocation as sampled, T bytes too many per thread. */
void sampler_enter(struct thread_state *state)
{
	/* relaxed: only uniqueness matters. */
	uint64_t ordinal =
		atomic_fetch_add_explicit(&sampler.next_ordinal, 1, memory_order_relaxed);

	sampler_seed(state->rng, sampler.settings.seed, ordinal);
	draw_point(state);
}

bool sampler_cross(struct thread_state *state, uint64_t size, uint64_t *interval_bytes)
{
	if (state->interval_bytes == 0)
		sampler_enter(state);
	uint64_t distance = state->countdown + state->residual;

	*interval_bytes = state->interval_bytes;
	/* Where T has changed the point is drawn anew: how far off it was says nothing about the
	 * bytes to come, so this is what a process whose rate changes here would do. */
	if (size >= distance || state->interval_bytes != sampler_interval())
		draw_point(state);
	else
		load_countdown(state, distance - size);
	return size >= distance;
}

/* The point is drawn anew when sampling goes on: the bytes in between are not on the line, and the
 * exponential has no memory. */
void sampler_skip(struct thread_state *state, uint64_t tick)
{
	state->countdown = tick;
	state->residual = 0;
	state->interval_bytes = 0;
}

void sampler_restart(struct thread_state *state)
{
	sampler_skip(state, 0);
}

/* By one doubling. relaxed: only the value matters, and a lost race means that somebody else has just
 * changed it. */
static void change_interval(int doublings)
{
	uint64_t word = atomic_load_explicit(&sampler.interval, memory_order_relaxed);
	bool at_the_end = doublings > 0 ? interval_of(word) > SAMPLER_MAX_INTERVAL / 2
					: (word & DOUBLINGS_MASK) == 0;

	if (!at_the_end)
		atomic_compare_exchange_strong_explicit(&sampler.interval, &word,
			word + (uint64_t)doublings, memory_order_relaxed, memory_order_relaxed);
}

/* Memory empties slowly: T is doubled once a second at most, and only if it was not enough the last
 * time. A large heap that stays as it is needs no more. */
static void brake_for_space(uint64_t now_ns, uint64_t crowd)
{
	/* relaxed: a rate limit, not a lock over data. */
	uint64_t last = atomic_load_explicit(&sampler.crowded_ns, memory_order_relaxed);

	if (now_ns - last < BRAKE_WINDOW_NS ||
		crowd <= atomic_load_explicit(&sampler.crowd, memory_order_relaxed) ||
		!atomic_compare_exchange_strong_explicit(&sampler.crowded_ns, &last, now_ns,
			memory_order_relaxed, memory_order_relaxed))
		return;
	atomic_store_explicit(&sampler.crowd, crowd, memory_order_relaxed);
	change_interval(+1);
}

static bool is_calm(uint64_t elapsed_ns, uint64_t samples, uint64_t crowd)
{
	uint64_t ceiling = sampler.settings.ceiling;

	return crowd == 0 && (ceiling == 0 || samples < (uint64_t)((__uint128_t)elapsed_ns *
								   ceiling / BRAKE_WINDOW_NS / 4));
}

/* What made T double is over when several windows in a row were calm. */
static void end_window(bool calm)
{
	/* relaxed: as in sampler_look. */
	if (!calm) {
		atomic_store_explicit(&sampler.calm_windows, 0, memory_order_relaxed);
	} else if (atomic_fetch_add_explicit(&sampler.calm_windows, 1, memory_order_relaxed) + 1 >=
		   CALM_WINDOWS) {
		change_interval(-1);
		atomic_store_explicit(&sampler.calm_windows, 0, memory_order_relaxed);
	}
}

void sampler_look(uint64_t now_ns, uint64_t crowd)
{
	/* relaxed throughout: a counter per window; a sample counted in a neighbouring window is no
	 * harm. */
	uint64_t start = atomic_load_explicit(&sampler.window_start_ns, memory_order_relaxed);

	if (crowd == 0)
		atomic_store_explicit(&sampler.crowd, 0, memory_order_relaxed);
	if (now_ns - start < BRAKE_WINDOW_NS ||
		!atomic_compare_exchange_strong_explicit(&sampler.window_start_ns, &start, now_ns,
			memory_order_relaxed, memory_order_relaxed))
		return;
	uint64_t samples =
		atomic_exchange_explicit(&sampler.window_samples, 0, memory_order_relaxed);
	end_window(is_calm(now_ns - start, samples, crowd));
}

void sampler_brake(uint64_t now_ns, uint64_t crowd)
{
	sampler_look(now_ns, crowd);
	if (crowd > 0)
		brake_for_space(now_ns, crowd);
	/* relaxed: as in sampler_look. */
	if (atomic_fetch_add_explicit(&sampler.window_samples, 1, memory_order_relaxed) ==
			sampler.settings.ceiling &&
		sampler.settings.ceiling > 0) {
		change_interval(+1);
		atomic_store_explicit(&sampler.window_samples, 0, memory_order_relaxed);
		atomic_store_explicit(&sampler.calm_windows, 0, memory_order_relaxed);
	}
}

/*
 * With x = s/T: T·x/(1-exp(-x)). Below x = 3 the Bernoulli series 1 + x/2 + x²/12 - x⁴/720 in 16.16
 * fixed point, above it s·(1 + exp(-x)) with exp(-x) rounded to a power of two.
 */
uint64_t sampler_weight(uint64_t size_bytes, uint64_t interval_bytes)
{
	if (size_bytes / 3 < interval_bytes) {
		uint64_t x = (uint64_t)(((__uint128_t)size_bytes << 16) / interval_bytes);
		uint64_t x2 = (x * x) >> 16;
		uint64_t x4 = (x2 * x2) >> 16;
		uint64_t ratio = (UINT64_C(1) << 16) + x / 2 + x2 / 12 - x4 / 720;

		return (uint64_t)(((__uint128_t)interval_bytes * ratio) >> 16);
	}
	uint64_t halvings =
		(size_bytes / 9 * 13 + interval_bytes / 2) / interval_bytes; /* 13/9: log2(e) */
	return size_bytes + (halvings < 64 ? size_bytes >> halvings : 0);
}
