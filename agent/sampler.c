/*
 * The sampling rule. Invariant: countdown + residual is the distance to the thread's next sample
 * point, counted from before the next allocation; it is at least 1 once the thread has entered.
 */
#include "sampler.h"
#include <stdatomic.h>

#define BRAKE_WINDOW_NS UINT64_C(1000000000)
#define MAX_SHIFT	20u

static struct {
	struct sampler_settings settings;
	_Atomic uint32_t shift;
	_Atomic uint64_t next_ordinal;
	_Atomic uint64_t window_start_ns;
	_Atomic uint64_t window_samples;
	_Atomic uint64_t crowded_ns; /* when T was last doubled because the map is nearly full */
} sampler;

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
}

static uint64_t interval_at(uint32_t shift)
{
	return sampler.settings.interval_bytes << shift;
}

uint64_t sampler_interval(void)
{
	/* relaxed: any recent value will do, see the header's table. */
	return interval_at(atomic_load_explicit(&sampler.shift, memory_order_relaxed));
}

static void load_countdown(struct thread_state *state, uint64_t distance)
{
	state->countdown = distance < SAMPLER_CHUNK ? distance : SAMPLER_CHUNK;
	state->residual = distance - state->countdown;
}

static void draw_point(struct thread_state *state)
{
	/* relaxed: see the header's table. */
	state->shift = (uint8_t)atomic_load_explicit(&sampler.shift, memory_order_relaxed);
	load_countdown(state, sampler_draw(state->rng, interval_at(state->shift)));
}

/* A new thread draws its point and only then subtracts: a countdown that began at 0 would count
 * every thread's first allocation as sampled, T bytes too many per thread. */
static void first_entry(struct thread_state *state)
{
	/* relaxed: only uniqueness matters. */
	uint64_t ordinal =
		atomic_fetch_add_explicit(&sampler.next_ordinal, 1, memory_order_relaxed);

	sampler_seed(state->rng, sampler.settings.seed, ordinal);
	draw_point(state);
}

/* The exponential scales with its mean, so a point drawn under an older T stays a fair one under
 * the new. */
static uint64_t rescale(struct thread_state *state, uint64_t distance)
{
	/* relaxed: see the header's table. */
	uint32_t shift = atomic_load_explicit(&sampler.shift, memory_order_relaxed);

	if (shift > state->shift) {
		distance <<= shift - state->shift;
		state->shift = (uint8_t)shift;
	}
	return distance;
}

bool sampler_cross(struct thread_state *state, uint64_t size, uint64_t *interval_bytes)
{
	if (state->rng[0] == 0 && state->rng[1] == 0)
		first_entry(state);

	uint64_t distance = state->countdown + state->residual;
	if (size < distance) {
		load_countdown(state, rescale(state, distance - size));
		return false;
	}
	*interval_bytes = interval_at(state->shift);
	draw_point(state);
	return true;
}

void sampler_skip(struct thread_state *state, uint64_t chunk)
{
	state->residual += state->countdown;
	state->countdown = chunk;
}

static void double_interval(void)
{
	/* relaxed: only the value matters; a lost race means that somebody else has just doubled.
	 */
	uint32_t shift = atomic_load_explicit(&sampler.shift, memory_order_relaxed);

	if (shift < MAX_SHIFT && interval_at(shift) < SAMPLER_MAX_INTERVAL)
		atomic_compare_exchange_strong_explicit(&sampler.shift, &shift, shift + 1,
			memory_order_relaxed, memory_order_relaxed);
}

/* The map empties slowly: doubling at every sample while it is crowded would run away. */
static void brake_for_space(uint64_t now_ns)
{
	/* relaxed: a rate limit, not a lock over data. */
	uint64_t last = atomic_load_explicit(&sampler.crowded_ns, memory_order_relaxed);

	if (now_ns - last >= BRAKE_WINDOW_NS &&
		atomic_compare_exchange_strong_explicit(&sampler.crowded_ns, &last, now_ns,
			memory_order_relaxed, memory_order_relaxed))
		double_interval();
}

void sampler_brake(uint64_t now_ns, bool crowded)
{
	if (crowded)
		brake_for_space(now_ns);
	if (sampler.settings.ceiling == 0)
		return;

	/* relaxed throughout: a counter per window; a sample counted in a neighbouring window is no
	 * harm. */
	uint64_t start = atomic_load_explicit(&sampler.window_start_ns, memory_order_relaxed);
	if (now_ns - start >= BRAKE_WINDOW_NS &&
		atomic_compare_exchange_strong_explicit(&sampler.window_start_ns, &start, now_ns,
			memory_order_relaxed, memory_order_relaxed))
		atomic_store_explicit(&sampler.window_samples, 0, memory_order_relaxed);
	if (atomic_fetch_add_explicit(&sampler.window_samples, 1, memory_order_relaxed) ==
		sampler.settings.ceiling) {
		double_interval();
		atomic_store_explicit(&sampler.window_samples, 0, memory_order_relaxed);
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
