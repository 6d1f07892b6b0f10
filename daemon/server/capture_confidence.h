/*
 * How far the stacks of a process can be trusted, in one word and one piece of advice: from how
 * many were followed to their outermost frame, how many frames were guessed, and how often
 * libunwind found the same. Pure; any thread.
 */
#pragma once
#include <stdint.h>

struct capture_tally;
struct module_map;
struct sample_feed_stats;
struct session_audit_stats;

enum capture_level {
	CAPTURE_UNKNOWN, /* no stack has been seen */
	CAPTURE_HIGH,	 /* less than 5 % of the stacks are cut short */
	CAPTURE_MEDIUM, /* at most 20 %; or more guessed, or more than 1 in 1000 audits certainly disagrees */
	CAPTURE_LOW, /* more cut short than that, or more than 1 in 20 audits certainly disagrees */
};

struct capture_confidence {
	enum capture_level level;
	double truncated_percent, guessed_percent; /* of the stacks seen */
	uint64_t audited;			   /* stacks that libunwind could judge */
	double agreement_percent;		   /* of these */
	char advice[512]; /* "" if there is nothing to be done; printable */
};

void capture_confidence_judge(const struct sample_feed_stats *feed,
	const struct session_audit_stats *audits, const struct capture_tally *tally,
	const struct module_map *modules, struct capture_confidence *out);

#define CAPTURE_CONFIDENCE_MODULES 8u

/* A module's share, and its index or STACK_MODULE_NONE. */
struct capture_trouble {
	uint32_t module;
	uint64_t count; /* stacks cut short there, and audits that disagree */
};

/* The modules with most trouble, the worst first. Returns how many, at most
 * CAPTURE_CONFIDENCE_MODULES. */
unsigned capture_confidence_worst(const struct capture_tally *tally,
	struct capture_trouble worst[static CAPTURE_CONFIDENCE_MODULES]);
