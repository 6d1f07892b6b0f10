/*
 * Claims on their way into the session table: each waits here until its process has been asked what
 * it is (process_reader.h), which takes less than a millisecond unless the process makes it wait; then
 * it is let in with what is known. One thread (the loop's).
 */
#pragma once
#include <stdint.h>

struct admissions;
struct process_reader;
struct session_claim;
struct session_table;

/* `done` is told what session_table_adopt said; also from inside of admissions_take. `reader` NULL:
 * nobody is asked. All are borrowed. */
int admissions_new(struct admissions **out, struct session_table *table,
	struct process_reader *reader, void (*done)(int result, int pid, void *data), void *data);
/* Those that wait are given up. */
struct admissions *admissions_free(struct admissions *admissions);
/* Takes the claim over. */
void admissions_take(struct admissions *admissions, struct session_claim *claim);
uint32_t admissions_waiting(const struct admissions *admissions);
