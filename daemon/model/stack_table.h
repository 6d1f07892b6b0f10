/*
 * Stacks of one worker, each distinct one once. A frame names a module and an offset in its file,
 * so a stack keeps its meaning after the library was unloaded. Bounded: past the limits stacks fold
 * into STACK_TABLE_OTHER and are counted. Not thread-safe.
 */
#pragma once
#include <stdint.h>
#include <stddef.h>

#define STACK_TABLE_OTHER 0u /* "[other]": an empty stack, always there */
#define STACK_MODULE_NONE UINT32_MAX
#define STACK_MODULE_NOT_KEPT                                                                      \
	(UINT32_MAX - 1) /* the only frame of a stack that the agent did not keep */

#define STACK_MODULE_PYTHON (UINT32_MAX - 2) /* a frame of an interpreter */

struct stack_frame {
	uint64_t pc;	 /* return address in the worker; 0 for an interpreter's frame */
	uint64_t offset; /* in the module's file; equals pc where module is STACK_MODULE_NONE; of an
			    interpreter's frame what STACK_PYTHON_OFFSET makes of it */
	uint32_t module; /* index in server/module_map's list, or STACK_MODULE_NONE, _PYTHON */
	uint32_t reserved;
};

/* `code`: number of the code object, 0: not kept; `line`: 0: not known. */
#define STACK_PYTHON_OFFSET(code, line) ((uint64_t)(code) << 32 | (uint32_t)(line))

static inline uint32_t stack_table_code(uint64_t offset)
{
	return (uint32_t)(offset >> 32);
}

static inline uint32_t stack_table_line(uint64_t offset)
{
	return (uint32_t)offset;
}

struct stack_view {
	const struct stack_frame *frames; /* borrows; innermost first */
	uint32_t frame_count;
	uint8_t stop; /* enum wire_stop, by value: 0 is whole */
	uint8_t guessed;
};

struct stack_table;

/* At most max_stacks ids, STACK_TABLE_OTHER included, in at most max_bytes of memory. */
int stack_table_new(struct stack_table **out, uint32_t max_stacks, size_t max_bytes);
struct stack_table *stack_table_free(struct stack_table *table);
/* The id of an equal stack (frames' module and offset, stop, guessed), else a new one. */
uint32_t stack_table_intern(struct stack_table *table, const struct stack_view *stack);
/* id < count. The frames stay where they are until the table is freed. */
struct stack_view stack_table_get(const struct stack_table *table, uint32_t id);
uint32_t stack_table_count(const struct stack_table *table); /* ids are 0 … count-1 */
/* Interns that ended in OTHER for want of room. */
uint64_t stack_table_folded(const struct stack_table *table);
size_t stack_table_bytes(const struct stack_table *table);
