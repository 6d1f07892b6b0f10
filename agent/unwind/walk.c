/*
 * The loop: the rule at the pc gives the frame's CFA from the stack or frame pointer; at fixed
 * places below it lie the return address and maybe the caller's frame pointer; the caller's stack
 * pointer is the CFA.
 *
 * Invariants: every word is admitted by stack_bounds before it is read, and read once; on one stack
 * the stack pointer only rises, so a walk ends; CFI is looked up one byte before a return address,
 * which may lie behind a call that is its function's last instruction, but at the very pc that a
 * signal interrupted.
 *
 * Code without CFI (compiled at run time, hand-written assembly) is left by the frame pointer, if
 * it can be, and what was found so is counted as guessed. A chain of frame pointers is believed
 * only as a whole: each record lies above the frame it belongs to, near it, and returns to what may
 * be code and is no function's beginning, and in the end one returns into code that CFI knows. There the walk
 * goes on by rules; else it ends where the chain began. Only a chain of more records than a walk keeps frames is
 * believed for its length.
 */
#include "unwind/walk.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/auxv.h>
#include "spprof/wire/record.h"
#include "unwind/arch.h"
#include "unwind/cfi.h"
#include "unwind/memo.h"
#include "unwind/objects.h"
#include "unwind/rule_cache.h"
#include "unwind/stack_bounds.h"
#include "unwind/trampoline.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Sanitizers may have fenced off parts of a stack; what is read here are words that the CPU and the
 * compiler put there. */
#define FOREIGN __attribute__((no_sanitize("address", "thread")))

static _Atomic uint64_t misses;

void walk_init(void)
{
	stack_bounds_init();
	objects_init();
	trampoline_init(getauxval(AT_SYSINFO_EHDR));
}

void walk_flush(void)
{
	rule_cache_flush();
}

bool walk_may_open(const char *file)
{
	return objects_may_open(file);
}

void walk_opened(void)
{
	objects_opened();
}

/* The objects come first: what is looked up after a flush must not be of the time before it. */
void walk_closing(void)
{
	objects_closing();
	walk_flush();
}

void walk_closed(void)
{
	objects_closed();
	walk_flush();
}

uint32_t walk_epoch(void)
{
	return rule_cache_epoch();
}

uint64_t walk_misses(void)
{
	return atomic_load_explicit(&misses, memory_order_relaxed); /* relaxed: a statistic */
}

/* Why a walk cannot go on, else GO_ON. While it follows a chain of frame records: to code without CFI, or to
 * where CFI has to be asked. */
enum { GO_ON = WIRE_STOP_KINDS, GUESS, ASK };

/* So many records, each in its place above the last, are no accident: where they lead is not looked for any
 * further. */
enum { MAX_GUESSES = WIRE_MAX_FRAMES };

/* Of so many frames of a chain is it remembered that their code has no CFI: recursion comes by again. */
enum { REMEMBERED_GUESSES = 4 };

/* Farther above its frame no record is looked for: on a stack that is not the thread's own each
 * page on the way would be asked for, in every walk, for a register that holds something else. */
enum { MAX_GUESSED_FRAME_BYTES = 64 << 10 };

/* Volatile: foreign memory is read exactly once. */
static FOREIGN inline uintptr_t load(uintptr_t address)
{
	return *(const volatile uintptr_t *)address;
}

/* The rule at `pc`, which is not in its place: displaced, or to be found in CFI.
 * Which call sites have no CFI is remembered, but not that no object covers a pc: JIT-compiled code
 * is replaced by loaded code without anyone telling us. */
static __attribute__((noinline)) uint32_t resolve(uint64_t salt, uintptr_t pc)
{
	struct cfi_object object;
	struct cfi_step step;
	uint32_t rule = rule_cache_find_displaced(salt, pc);
	if (rule != RULE_CACHE_MISSING)
		return rule;
	if (trampoline_covers(pc))
		return rule_cache_of(CFI_SIGNAL);
	if (pc < ARCH_PAGE_BYTES || pc >> ARCH_ADDRESS_BITS || objects_find(pc, &object))
		return rule_cache_of(CFI_NO_INFO);
	atomic_fetch_add_explicit(&misses, 1, memory_order_relaxed); /* relaxed: a statistic */
	enum cfi_verdict verdict = cfi_find(&object, pc, &step);
	return rule_cache_store(salt, pc, rule_cache_pack(verdict, &step));
}

static inline uint32_t rule_at(uint64_t salt, uintptr_t pc)
{
	uint32_t rule = rule_cache_find(salt, pc);
	return likely(rule != RULE_CACHE_MISSING) ? rule : resolve(salt, pc);
}

/* Where a walk stands: the registers of a frame, and the pc by which to find its rule. */
struct place {
	uintptr_t pc, sp, fp, lookup;
};

/* What a walk keeps beside. */
struct journey {
	struct stack_bounds bounds;
	struct place place;
	struct memo_entry *next; /* at the end of a chain */
	uint16_t guessed;
	uint16_t chain;	   /* records that were followed and are not believed yet */
	uint16_t solid;	   /* frames before those */
	uint16_t count;	   /* and with those */
	uintptr_t context; /* of the signal whose interrupted frame comes next; 0: none */
	bool interrupted;  /* there was such a frame */
};

_Static_assert(WIRE_MAX_FRAMES <= UINT16_MAX, "a journey counts a walk's frames");

static int step_signal(struct place *place, struct journey *journey)
{
	struct stack_bounds *bounds = &journey->bounds;
	uintptr_t context = place->sp;
	if (context & 7 ||
		!stack_bounds_admit(bounds, context, context + ARCH_SIGNAL_PC + sizeof(uintptr_t)))
		return WIRE_STOP_BOUNDS;
	place->pc = place->lookup = load(context + ARCH_SIGNAL_PC);
	place->sp = load(context + ARCH_SIGNAL_SP);
	place->fp = load(context + ARCH_SIGNAL_FP);
	journey->context = context;
	journey->interrupted = true;
	if (!place->pc) /* a call through a null pointer: the outermost frame is elsewhere */
		return WIRE_STOP_NO_INFO;
	stack_bounds_resume(bounds, place->sp);
	return GO_ON;
}

/* Reads the word at `address`, which CFI computed, if it may be read. */
static bool load_admitted(struct stack_bounds *bounds, uintptr_t address, uintptr_t *word)
{
	if (address & 7 || !stack_bounds_admit(bounds, address, address + sizeof(*word)))
		return false;
	*word = load(address);
	return true;
}

/* The third register, which a call does not keep: known of the frame that a signal interrupted, and
 * taken once, since a frame of no size leaves the stack pointer by which it is told as it is. */
static FOREIGN uintptr_t take_third(const struct place *place, struct journey *journey)
{
	uintptr_t context = journey->context;
	journey->context = 0;
	if (!context || load(context + ARCH_SIGNAL_SP) != place->sp)
		return 0;
	return load(context + ARCH_SIGNAL_THIRD);
}

/* A step in all generality; the loop below does the plain ones in a few instructions. */
static int step_any(struct place *place, struct journey *journey, const struct cfi_step *step)
{
	struct stack_bounds *bounds = &journey->bounds;
	bool linked = ARCH_HAS_LINK && step->ra_in_register;
	uintptr_t third = 0;
	if ((linked || step->base_is_third) && !(third = take_third(place, journey)))
		return WIRE_STOP_UNSUPPORTED;
	uintptr_t base = step->base_is_fp ? place->fp : place->sp;
	uintptr_t cfa = (step->base_is_third ? third : base) + (uintptr_t)step->cfa_offset;
	if (step->dereferenced && !load_admitted(bounds, cfa, &cfa))
		return WIRE_STOP_BOUNDS;
	cfa += step->cfa_addend;
	if (cfa < place->sp || (cfa == place->sp && !linked))
		return WIRE_STOP_BOUNDS;

	uintptr_t slot = (uintptr_t)step->fp_offset;
	slot += step->fp == CFI_FP_AT_CFA ? cfa : place->fp;
	if ((step->fp == CFI_FP_AT_CFA || step->fp == CFI_FP_AT_FP) &&
		!load_admitted(bounds, slot, &place->fp))
		return WIRE_STOP_BOUNDS;
	if (step->fp == CFI_FP_LOST)
		place->fp = 0; /* no frame lies there: who needs it ends the walk by its bounds */
	uintptr_t ra = ARCH_HAS_LINK ? (uintptr_t)step->ra_offset : (uintptr_t)ARCH_RA_FROM_CFA;
	if (linked)
		place->pc = third;
	else if (!load_admitted(bounds, cfa + ra, &place->pc))
		return WIRE_STOP_BOUNDS;
	place->pc = arch_strip(place->pc);
	place->sp = cfa;
	place->lookup = place->pc - 1;
	return place->pc ? GO_ON : WIRE_STOP_END;
}

/* Whether `rule` tells how to go on from code that a chain of frame pointers has led to. */
static bool is_known_code(uint32_t rule)
{
	struct cfi_step step;
	if ((rule & RULE_CACHE_SLOT_MASK) != RULE_CACHE_NOT_PLAIN)
		return true;
	enum cfi_verdict verdict = rule_cache_unpack(rule, &step);
	return verdict == CFI_STEP || verdict == CFI_END;
}

/* Whether a call may have come from there, for all that is known without asking: no number, and not
 * the stack. */
static bool may_be_code(const struct stack_bounds *bounds, uintptr_t pc)
{
	return pc >= ARCH_PAGE_BYTES && !(pc >> ARCH_ADDRESS_BITS) &&
	       !stack_bounds_contain(bounds, pc, pc);
}

/* Whether [sp, end) may be read, most of it in pages that are known. That the frame at `sp` reaches up to there is
 * a guess: above a coroutine's stack there may be nothing any more. */
static bool admit_guess(struct stack_bounds *bounds, uintptr_t sp, uintptr_t record, uintptr_t end)
{
	if (!stack_bounds_contain(bounds, record, end) && !stack_bounds_admit(bounds, record, end))
		return false;
	bool same_page = (sp - 1) / ARCH_PAGE_BYTES == (end - 1) / ARCH_PAGE_BYTES;
	return same_page || !bounds->is_own || stack_bounds_still_readable(sp - 1, end);
}

/* The frame record {caller's frame pointer, return address} at place->fp, of a frame at place->sp. */
static inline bool follow_record(struct place *place, struct stack_bounds *bounds)
{
	uintptr_t record = place->fp, end = record + 2 * sizeof(uintptr_t);
	if (record & 7 || record < place->sp || record - place->sp > MAX_GUESSED_FRAME_BYTES ||
		!admit_guess(bounds, place->sp, record, end))
		return false;
	place->fp = load(record);
	place->pc = arch_strip(load(record + sizeof(uintptr_t)));
	place->sp = end;
	place->lookup = place->pc - 1;
	return may_be_code(bounds, place->pc);
}

/* What code a guessed record returns to. That a pc has no CFI was found out in here, or by a walk that came to it
 * by rules: so no function begins behind it, as one does where a pointer to a function is taken for a return
 * address. */
static int look_at_guess(uint64_t salt, uintptr_t pc)
{
	struct cfi_object object;
	if (rule_cache_find(salt, pc - 1) == rule_cache_of(CFI_NO_INFO) ||
		objects_find(pc - 1, &object))
		return GUESS;
	return cfi_begins(&object, pc) ? WIRE_STOP_NO_INFO : ASK;
}

/* Whether one of the last frames, none of which has CFI, has the same pc. */
static inline bool is_recursion(const struct journey *journey, const uint64_t *frames, uintptr_t pc)
{
	uint32_t count = journey->count - journey->solid + 1u;
	for (uint32_t i = 1; i <= count && i <= REMEMBERED_GUESSES; i++)
		if (frames[journey->count - i] == pc)
			return true;
	return false;
}

static inline void keep_guess(
	struct journey *journey, struct memo *memo, uint64_t *frames, uint32_t max)
{
	const struct place *place = &journey->place;
	if (journey->count == max)
		return;
	if (memo)
		journey->next = memo_learn(memo, memo_seek(journey->next, place->sp),
			journey->count, place->sp, 0, rule_cache_of(CFI_NO_INFO));
	frames[journey->count++] = place->pc;
}

/* From code without CFI to code that an object covers, where CFI has to be asked; or to the chain's end. */
static __attribute__((noinline)) int follow_chain(
	struct journey *journey, uint64_t salt, struct memo *memo, uint64_t *frames, uint32_t max)
{
	struct place *place = &journey->place;
	int found;
	do {
		if (journey->chain)
			keep_guess(journey, memo, frames, max);
		if (journey->chain == MAX_GUESSES)
			return WIRE_STOP_MAX;
		if (!follow_record(place, &journey->bounds))
			return WIRE_STOP_NO_INFO;
		journey->chain++;
		found = is_recursion(journey, frames, place->pc) ? GUESS
								 : look_at_guess(salt, place->pc);
	} while (found == GUESS);
	return found;
}

/* The rule where a chain leads. */
static __attribute__((noinline)) int judge_guess(uint32_t rule)
{
	if (rule == rule_cache_of(CFI_NO_INFO))
		return GUESS;
	return is_known_code(rule) ? GO_ON : WIRE_STOP_NO_INFO;
}

/* A chain is at its end, and maybe there is `room` for the frame to which it leads. Returns how many frames are
 * kept. */
static __attribute__((noinline)) uint32_t settle_chain(struct journey *journey, int stop, bool room)
{
	uint32_t count = journey->count;
	if (stop == GO_ON || stop == WIRE_STOP_MAX)
		journey->guessed += (uint16_t)(count - journey->solid + (stop == GO_ON && room));
	else
		count = journey->solid;
	journey->chain = 0;
	return count;
}

/* By a rule that is not plain. Registers come and go apart, for a struct that is filled in by the
 * loop makes gcc keep pairs of them in vector registers, at a cost for every frame. */
static __attribute__((noinline)) int step_rare(
	struct journey *journey, uint32_t rule, uintptr_t sp, uintptr_t fp)
{
	struct cfi_step step;
	struct place *place = &journey->place;
	*place = (struct place){.sp = sp, .fp = fp};
	switch (rule_cache_unpack(rule, &step)) {
	case CFI_STEP:
		return step_any(place, journey, &step);
	case CFI_SIGNAL:
		return step_signal(place, journey);
	case CFI_END:
		return WIRE_STOP_END;
	case CFI_NO_INFO:
		return ARCH_RECORD_ENDS_FRAME ? GUESS : WIRE_STOP_NO_INFO;
	case CFI_UNSUPPORTED:
		break;
	}
	return WIRE_STOP_UNSUPPORTED;
}

/* By a plain one, for which the bounds that are known do not suffice. */
static __attribute__((noinline)) bool is_sound(
	struct stack_bounds *bounds, uintptr_t sp, uintptr_t slot, uintptr_t cfa)
{
	return cfa > sp && !(cfa & 7) && stack_bounds_admit(bounds, slot, cfa);
}

/* `memo` and `places` are NULL or are not, wherever this is used. */
static FOREIGN inline __attribute__((always_inline)) void walk(struct memo *memo,
	const struct walk_regs *regs, uint64_t *frames, uintptr_t *places, uint32_t max,
	struct walk_result *result)
{
	uintptr_t pc = regs->pc, sp = regs->sp, fp = regs->fp, lookup = pc - 1;
	struct journey journey = {.chain = 0};
	uint64_t salt = rule_cache_salt();
	uint32_t count = 0;
	int stop = WIRE_STOP_MAX;

	struct memo_entry *next = memo ? memo_seek(memo_begin(memo), sp) : NULL;
	stack_bounds_begin(&journey.bounds, sp);
	for (;;) {
		uint32_t rule =
			memo ? memo_find(next, rule_cache_key(salt, lookup)) : RULE_CACHE_MISSING;
		if (memo && likely(rule != RULE_CACHE_MISSING)) {
			next = memo_keep(memo, next, count);
		} else {
			rule = rule_at(salt, lookup);
			if (memo)
				next = memo_learn(
					memo, next, count, sp, rule_cache_key(salt, lookup), rule);
		}
		if (places)
			places[count] = sp;
		frames[count++] = pc;
		if (likely((rule & RULE_CACHE_SLOT_MASK) != RULE_CACHE_NOT_PLAIN)) {
			uintptr_t cfa =
				rule_cache_offset(rule) + (rule & RULE_CACHE_FLAG ? fp : sp);
			if (memo) {
				next = memo_seek(next, cfa);
				cfa = memo_predict(next, cfa);
			}
			uintptr_t slot = rule_cache_slot(rule, cfa);
			if (unlikely(cfa <= sp || cfa & 7 ||
				     !stack_bounds_contain(&journey.bounds, slot, cfa)) &&
				!is_sound(&journey.bounds, sp, slot, cfa)) {
				stop = WIRE_STOP_BOUNDS;
				break;
			}
			uintptr_t saved = load(slot);
			fp = rule_cache_saves_fp(rule) ? saved : fp;
			pc = arch_strip(load(rule_cache_ra(rule, cfa)));
			sp = cfa;
			lookup = pc - 1;
			if (unlikely(!pc)) {
				stop = WIRE_STOP_END;
				break;
			}
		} else {
			stop = step_rare(&journey, rule, sp, fp);
			if (unlikely(stop == GUESS)) {
				journey.solid = journey.count = (uint16_t)count;
				journey.next = next;
				do {
					stop = follow_chain(&journey, salt, memo, frames, max);
					/* Here, where what resolves has all of the stack that a walk may take. */
					if (stop == ASK)
						stop = judge_guess(
							rule_at(salt, journey.place.lookup));
				} while (stop == GUESS);
				count = settle_chain(&journey, stop, journey.count < max);
				next = journey.next;
			}
			if (stop != GO_ON)
				break;
			pc = journey.place.pc, sp = journey.place.sp, fp = journey.place.fp;
			lookup = journey.place.lookup;
			stop = WIRE_STOP_MAX;
			if (memo)
				next = memo_seek(next, sp);
		}
		if (unlikely(count == max))
			break;
	}
	if (memo)
		memo_end(memo, count);
	result->frame_count = count;
	result->stop = (uint8_t)stop;
	result->guessed = (uint8_t)(journey.guessed < UINT8_MAX ? journey.guessed : UINT8_MAX);
	if (places)
		result->interrupted = journey.interrupted;
}

void walk_stack(
	const struct walk_regs *regs, uint64_t *frames, uint32_t max, struct walk_result *result)
{
	walk(NULL, regs, frames, NULL, max, result);
}

__attribute__((nonnull)) void walk_with_memo(struct memo *memo, const struct walk_regs *regs,
	uint64_t *frames, uint32_t max, struct walk_result *result)
{
	walk(memo, regs, frames, NULL, max, result);
}

__attribute__((nonnull)) void walk_with_places(struct memo *memo, const struct walk_regs *regs,
	uint64_t *frames, uintptr_t *places, uint32_t max, struct walk_result *result)
{
	walk(memo, regs, frames, places, max, result);
}
