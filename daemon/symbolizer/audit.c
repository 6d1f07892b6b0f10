/*
 * libunwind asks by callbacks: for the rule that covers an address, for memory, for registers. On
 * x86_64 it goes on by the frame pointer where there is no rule, so that a step in whose course
 * none was found is thrown away.
 *
 * The walk begins one byte before pc, for there is no way to say that a remote frame was left by a
 * call; all frames further out libunwind looks up that way by itself.
 */
#include "symbolizer/audit.h"
#include <errno.h>
#include <libunwind.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "symbolizer/elf_file.h"

#if defined(UNW_TARGET_X86_64)
#define FRAME_POINTER UNW_X86_64_RBP
#elif defined(UNW_TARGET_AARCH64)
#define FRAME_POINTER UNW_AARCH64_X29
#else
#error "which register is this architecture's frame pointer?"
#endif

/* Exported for those who bring their own tables, declared in no installed header. */
int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *info,
	unw_proc_info_t *found, int need_unwind_info, void *data);

/* How far behind the copy a stack may go on; farther away no stack is meant. */
#define STACK_MAX_BYTES ((uint64_t)64 << 20)

struct audit {
	unw_addr_space_t space; /* owns */
};

struct walk {
	const struct audit_stack *stack;
	bool searching;	  /* for a rule, no step is being made */
	bool no_info;	  /* a rule was asked for, and there is none */
	bool behind_copy; /* memory was asked for that the copy leaves out */
};

/* .eh_frame_hdr, as every linker writes it: DW_EH_PE_udata4, and DW_EH_PE_datarel | sdata4. */
enum { HEADER_VERSION = 1, COUNT_ENCODING = 0x03, TABLE_ENCODING = 0x3b, ENTRY_BYTES = 8 };

static size_t pointer_bytes(uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case 0x03: /* udata4 */
	case 0x0b: /* sdata4 */
		return 4;
	case 0x00: /* absptr */
	case 0x04: /* udata8 */
	case 0x0c: /* sdata8 */
		return 8;
	default:
		return 0;
	}
}

/* Where libunwind finds the mapping's table. False: there is none that it can search. */
static bool describe_table(const struct audit_mapping *mapping, unw_dyn_info_t *info)
{
	uint64_t address, size;
	uint8_t header[4];
	uint32_t count;
	if (!elf_file_unwind_table(mapping->file, &address, &size) ||
		elf_file_read(mapping->file, address, header, sizeof(header)) != sizeof(header))
		return false;
	size_t skipped = sizeof(header) + pointer_bytes(header[1]);
	if (header[0] != HEADER_VERSION || header[2] != COUNT_ENCODING ||
		header[3] != TABLE_ENCODING || skipped == sizeof(header) ||
		elf_file_read(mapping->file, address + skipped, &count, sizeof(count)) !=
			sizeof(count))
		return false;
	skipped += sizeof(count);
	if (size < skipped || (size - skipped) / ENTRY_BYTES < count)
		return false;
	memset(info, 0, sizeof(*info));
	info->format = UNW_INFO_FORMAT_REMOTE_TABLE;
	info->end_ip = UINT64_MAX;
	info->u.rti.segbase = mapping->bias + address;
	info->u.rti.table_data = mapping->bias + address + skipped;
	info->u.rti.table_len = (uint64_t)count * ENTRY_BYTES / sizeof(unw_word_t);
	return count > 0;
}

static const struct audit_mapping *mapping_of_code(const struct audit_stack *stack, uint64_t ip)
{
	for (size_t i = 0; i < stack->mapping_count; i++)
		if (elf_file_has_code(stack->mappings[i].file, ip - stack->mappings[i].bias))
			return &stack->mappings[i];
	return NULL;
}

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *found,
	int need_unwind_info, void *data)
{
	struct walk *walk = data;
	unw_dyn_info_t info;
	const struct audit_mapping *mapping = mapping_of_code(walk->stack, ip);
	int r = -UNW_ENOINFO;
	walk->searching = true;
	if (mapping && describe_table(mapping, &info))
		r = UNW_OBJ(dwarf_search_unwind_table)(
			space, ip, &info, found, need_unwind_info, data);
	walk->searching = false;
	walk->no_info |= r == -UNW_ENOINFO;
	return r;
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *data)
{
	(void)space, (void)info, (void)data;
}

static int no_dynamic_info(unw_addr_space_t space, unw_word_t *address, void *data)
{
	(void)space, (void)address, (void)data;
	return -UNW_ENOINFO;
}

static bool read_stack(struct walk *walk, uint64_t address, unw_word_t *value)
{
	const struct audit_stack *stack = walk->stack;
	uint64_t into = address - stack->sp;
	if (into < stack->size && stack->size - into >= sizeof(*value)) {
		memcpy(value, stack->bytes + into, sizeof(*value));
		return true;
	}
	walk->behind_copy |= address >= stack->sp && into < STACK_MAX_BYTES && !stack->whole;
	return false;
}

/* Whole words are asked for, where a table or a segment may end within one. */
static bool read_files(const struct walk *walk, uint64_t address, unw_word_t *value)
{
	const struct audit_stack *stack = walk->stack;
	*value = 0;
	for (size_t i = 0; i < stack->mapping_count; i++)
		if (elf_file_read(stack->mappings[i].file, address - stack->mappings[i].bias, value,
			    sizeof(*value)) > 0)
			return true;
	return false;
}

/* C++'s rules name a routine by a pointer that only the loader has filled in. It is read with the
 * rule, and not needed to follow it. */
static bool make_up(const struct walk *walk, unw_word_t *value)
{
	*value = 0;
	return walk->searching;
}

static int access_mem(
	unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write, void *data)
{
	(void)space;
	if (write)
		return -UNW_EINVAL;
	return read_files(data, address, value) || read_stack(data, address, value) ||
			       make_up(data, value)
		       ? 0
		       : -UNW_EINVAL;
}

static int access_reg(
	unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write, void *data)
{
	(void)space;
	const struct walk *walk = data;
	if (write)
		return -UNW_EREADONLYREG;
	if (number == UNW_TDEP_IP)
		*value = walk->stack->pc - 1;
	else if (number == UNW_TDEP_SP)
		*value = walk->stack->sp;
	else if (number == FRAME_POINTER)
		*value = walk->stack->fp;
	else
		return -UNW_EBADREG;
	return 0;
}

static int access_fpreg(
	unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write, void *data)
{
	(void)space, (void)number, (void)value, (void)write, (void)data;
	return -UNW_EBADREG;
}

static int resume_nothing(unw_addr_space_t space, unw_cursor_t *cursor, void *data)
{
	(void)space, (void)cursor, (void)data;
	return -UNW_EINVAL;
}

static int name_nothing(unw_addr_space_t space, unw_word_t address, char *name, size_t room,
	unw_word_t *offset, void *data)
{
	(void)space, (void)address, (void)name, (void)room, (void)offset, (void)data;
	return -UNW_ENOINFO;
}

int audit_new(struct audit **out)
{
	static unw_accessors_t accessors = {
		.find_proc_info = find_proc_info,
		.put_unwind_info = put_unwind_info,
		.get_dyn_info_list_addr = no_dynamic_info,
		.access_mem = access_mem,
		.access_reg = access_reg,
		.access_fpreg = access_fpreg,
		.resume = resume_nothing,
		.get_proc_name = name_nothing,
	};
	struct audit *audit = alloc_zeroed(1, sizeof(*audit));
	audit->space = unw_create_addr_space(&accessors, 0);
	if (!audit->space) {
		free(audit);
		return -ENOMEM;
	}
	/* Each stack is of another process. */
	unw_set_caching_policy(audit->space, UNW_CACHE_NONE);
	*out = audit;
	return 0;
}

struct audit *audit_free(struct audit *audit)
{
	if (!audit)
		return NULL;
	unw_destroy_addr_space(audit->space);
	free(audit);
	return NULL;
}

/* AUDIT_STOP_NONE: *ip is the return address of the next frame. */
static enum audit_stop step(struct walk *walk, unw_cursor_t *cursor, unw_word_t *ip)
{
	walk->no_info = walk->behind_copy = false;
	int r = unw_step(cursor);
	if (walk->no_info)
		return AUDIT_STOP_NO_INFO;
	if (r < 0)
		return walk->behind_copy ? AUDIT_STOP_COPY : AUDIT_STOP_FAILED;
	if (r == 0)
		return AUDIT_STOP_OUTERMOST;
	if (unw_get_reg(cursor, UNW_REG_IP, ip) < 0)
		return AUDIT_STOP_FAILED;
	return *ip ? AUDIT_STOP_NONE : AUDIT_STOP_OUTERMOST;
}

/* libunwind has come to an end where both have found the same. */
static enum audit_verdict judge_end(enum audit_stop stop, bool agent_goes_on)
{
	if (!agent_goes_on)
		return stop == AUDIT_STOP_COPY ? AUDIT_CUT : AUDIT_AGREED;
	switch (stop) {
	case AUDIT_STOP_OUTERMOST:
		return AUDIT_DIFFERENT;
	case AUDIT_STOP_COPY:
		return AUDIT_CUT;
	default:
		return AUDIT_LONGER;
	}
}

/* libunwind has found one more frame than the agent. */
static enum audit_verdict judge_more(enum audit_end end)
{
	switch (end) {
	case AUDIT_END_LIMIT:
		return AUDIT_AGREED;
	case AUDIT_END_OUTERMOST:
		return AUDIT_DIFFERENT;
	default:
		return AUDIT_SHORTER;
	}
}

void audit_compare(
	struct audit *audit, const struct audit_stack *stack, struct audit_result *result)
{
	struct walk walk = {.stack = stack};
	unw_cursor_t cursor;
	unw_word_t ip = 0;
	*result = (struct audit_result){.stop = AUDIT_STOP_FAILED, .frames = 1};
	bool begun = unw_init_remote(&cursor, audit->space, &walk) == 0;
	while (begun && (result->stop = step(&walk, &cursor, &ip)) == AUDIT_STOP_NONE) {
		if (result->frames == stack->frame_count) {
			result->verdict = judge_more(stack->end);
			return;
		}
		if (ip != stack->frames[result->frames]) {
			result->verdict = AUDIT_DIFFERENT;
			return;
		}
		result->frames++;
	}
	result->verdict = judge_end(result->stop, result->frames < stack->frame_count);
}
