/*
 * Runs the programs of one entry up to the row that covers the pc, keeping of each row only what a
 * walk needs: the CFA, the return address and the frame pointer. DWARF 5, sections 6.4 and 7.24.
 *
 * Invariants: a row is believed only if no read before it was broken; what does not fit a step is
 * remembered as such and judged at the end, so an odd rule of a register that nobody asks for is
 * harmless. With eh_frame the search stays below 512 bytes of stack.
 */
#include "unwind/cfi.h"
#include "unwind/arch.h"
#include "unwind/cursor.h"
#include "unwind/eh_frame.h"

/* Kept out of its caller, whose locals need not share the host's stack with these. */
#define RARE __attribute__((noinline))

enum {
	MAX_REMEMBERED = 3,	  /* compilers and assemblers nest 1 deep */
	MAX_INSTRUCTIONS = 65536, /* bounds the work; gcc's own largest function has 13,000 */
	ADDEND_BITS = 16,
	OFFSET_UNKNOWN = INT32_MIN /* does not fit: whatever it describes is unsupported */
};

enum { /* DW_CFA_* */
	CFA_ADVANCE_LOC = 0x40,
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

enum { /* DW_OP_* */
	OP_DEREF = 0x06,
	OP_AND = 0x1a,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_GE = 0x2a,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
};

/* Where a register of the caller is. */
enum place {
	PLACE_SAME,
	PLACE_UNDEFINED,
	PLACE_AT_CFA,
	PLACE_AT_FP,
	PLACE_AT_SP,
	PLACE_OTHER,
};

enum base { BASE_SP, BASE_FP, BASE_THIRD, BASE_OTHER };

enum cfa_form {
	CFA_UNSET,
	CFA_IS_BASE,   /* + offset */
	CFA_IS_LOADED, /* the word at base + offset, + addend */
	CFA_IS_OTHER,
};

/* One row of the table that the programs describe, as far as a walk can use it. */
struct row {
	int32_t cfa_offset, fp_offset, ra_offset;
	uint32_t cfa_addend : ADDEND_BITS;
	uint32_t cfa_base : 2; /* enum base */
	uint32_t cfa_form : 2; /* enum cfa_form */
	uint32_t fp : 3;       /* enum place */
	uint32_t ra : 3;       /* enum place */
};

_Static_assert(sizeof(struct row) == 16, "five rows lie on the host's stack");

struct machine {
	struct eh_frame_entry entry;
	struct cursor *code; /* the program that runs, one of the entry's */
	uintptr_t pc;
	uintptr_t location;
	struct row row, initial;
	uint32_t instructions_left;
	uint32_t remembered_count;
	struct row remembered[MAX_REMEMBERED];
};

enum outcome { GO_ON, ROW_FOUND, GIVE_UP };

static int32_t narrow(int64_t offset)
{
	return offset > INT32_MIN && offset <= INT32_MAX ? (int32_t)offset : OFFSET_UNKNOWN;
}

static int32_t factored(const struct machine *m, int64_t operand)
{
	int64_t offset;
	if (__builtin_mul_overflow(operand, m->entry.data_align, &offset))
		return OFFSET_UNKNOWN;
	return narrow(offset);
}

/* An unsigned operand; what is too large for the signed type remains too large for an offset. */
static int64_t read_operand(struct cursor *c)
{
	uint64_t operand = cursor_read_uleb(c);
	return operand <= INT64_MAX ? (int64_t)operand : INT64_MAX;
}

static void set_saved(struct machine *m, uint64_t reg, enum place place, int32_t offset)
{
	if (reg == ARCH_DWARF_RA) {
		m->row.ra = place;
		m->row.ra_offset = offset;
	} else if (reg == ARCH_DWARF_FP) {
		m->row.fp = place;
		m->row.fp_offset = offset;
	}
}

static void restore_initial(struct machine *m, uint64_t reg)
{
	if (reg == ARCH_DWARF_RA)
		set_saved(m, reg, m->initial.ra, m->initial.ra_offset);
	else if (reg == ARCH_DWARF_FP)
		set_saved(m, reg, m->initial.fp, m->initial.fp_offset);
}

static enum base base_of(uint64_t reg)
{
	if (reg == ARCH_DWARF_SP)
		return BASE_SP;
	if (reg == ARCH_DWARF_THIRD)
		return BASE_THIRD;
	return reg == ARCH_DWARF_FP ? BASE_FP : BASE_OTHER;
}

static void set_cfa_base(struct machine *m, uint64_t reg)
{
	m->row.cfa_form = CFA_IS_BASE;
	m->row.cfa_base = base_of(reg);
	m->row.cfa_addend = 0;
}

static enum outcome advance_to(struct machine *m, uintptr_t location)
{
	if (location < m->location)
		return GIVE_UP;
	if (m->pc < location)
		return ROW_FOUND;
	m->location = location;
	return GO_ON;
}

static enum outcome advance_by(struct machine *m, uint64_t delta)
{
	uintptr_t distance;
	if (__builtin_mul_overflow(delta, m->entry.code_align, &distance) ||
		distance > UINTPTR_MAX - m->location)
		return GIVE_UP;
	return advance_to(m, m->location + distance);
}

/*
 * Linkers describe the lazy-binding stubs (PLT) by one expression for the whole section: the stub
 * has pushed a word once the pc is `threshold` or more bytes into its 16. The pc being known, it is
 * a plain row.
 */
static bool apply_plt_expression(struct machine *m, const struct cursor *e)
{
	static const uint8_t head[] = {
		OP_BREG0 + ARCH_DWARF_SP, 8, OP_BREG0 + ARCH_DWARF_RA, 0, OP_LIT0 + 15, OP_AND};
	static const uint8_t tail[] = {OP_GE, OP_LIT0 + 3, OP_SHL, OP_PLUS};
	const uint8_t *bytes = e->at;
	if (e->end - bytes != (int)sizeof(head) + 1 + (int)sizeof(tail))
		return false;
	for (unsigned i = 0; i < sizeof(head); i++)
		if (bytes[i] != head[i])
			return false;
	for (unsigned i = 0; i < sizeof(tail); i++)
		if (bytes[sizeof(head) + 1 + i] != tail[i])
			return false;
	unsigned threshold = (unsigned)bytes[sizeof(head)] - OP_LIT0;
	if (threshold > 15)
		return false;
	set_cfa_base(m, ARCH_DWARF_SP);
	m->row.cfa_offset = (m->pc & 15) >= threshold ? 16 : 8;
	return true;
}

/* base + offset, deref [+ constant]: what compilers and assemblers write for realigned stacks. */
static RARE void apply_cfa_expression(struct machine *m)
{
	struct cursor block = cursor_read_block(m->code), *e = &block;
	if (apply_plt_expression(m, e))
		return;
	m->row.cfa_form = CFA_IS_OTHER;
	uint64_t addend = 0;
	unsigned reg = (unsigned)cursor_read_u8(e) - OP_BREG0;
	int64_t offset = cursor_read_sleb(e);
	bool loads = cursor_read_u8(e) == OP_DEREF;
	if (e->at < e->end) {
		uint8_t op = cursor_read_u8(e);
		if (op == OP_PLUS_UCONST)
			addend = cursor_read_uleb(e);
		else if (op >= OP_LIT0 && op <= OP_LIT31 && cursor_read_u8(e) == OP_PLUS)
			addend = op - OP_LIT0;
		else
			return;
	}
	if (!e->at || e->at < e->end || !loads || addend >> ADDEND_BITS)
		return;
	set_cfa_base(m, reg);
	m->row.cfa_form = CFA_IS_LOADED;
	m->row.cfa_offset = narrow(offset);
	m->row.cfa_addend = (uint16_t)addend;
}

/* Saved at base + offset: the frame pointer of realigned frames, and all of a signal frame. */
static RARE void apply_saved_expression(struct machine *m, uint64_t reg)
{
	struct cursor block = cursor_read_block(m->code), *e = &block;
	uint8_t op = cursor_read_u8(e);
	int64_t offset = cursor_read_sleb(e);
	enum place place = PLACE_OTHER;
	if (e->at && e->at == e->end && op == OP_BREG0 + ARCH_DWARF_FP)
		place = PLACE_AT_FP;
	else if (e->at && e->at == e->end && op == OP_BREG0 + ARCH_DWARF_SP)
		place = PLACE_AT_SP;
	set_saved(m, reg, place, narrow(offset));
}

static bool execute_cfa(struct machine *m, uint8_t opcode)
{
	struct cursor *c = m->code;
	switch (opcode) {
	case CFA_DEF_CFA:
		set_cfa_base(m, cursor_read_uleb(c));
		m->row.cfa_offset = narrow(read_operand(c));
		return true;
	case CFA_DEF_CFA_SF:
		set_cfa_base(m, cursor_read_uleb(c));
		m->row.cfa_offset = factored(m, cursor_read_sleb(c));
		return true;
	case CFA_DEF_CFA_REGISTER:
		set_cfa_base(m, cursor_read_uleb(c));
		return true;
	case CFA_DEF_CFA_OFFSET:
		m->row.cfa_offset = narrow(read_operand(c));
		return true;
	case CFA_DEF_CFA_OFFSET_SF:
		m->row.cfa_offset = factored(m, cursor_read_sleb(c));
		return true;
	case CFA_DEF_CFA_EXPRESSION:
		apply_cfa_expression(m);
		return true;
	}
	return false;
}

static bool execute_register(struct machine *m, uint8_t opcode)
{
	struct cursor *c = m->code;
	uint64_t reg = cursor_read_uleb(c);
	switch (opcode) {
	case CFA_OFFSET_EXTENDED:
		set_saved(m, reg, PLACE_AT_CFA, factored(m, read_operand(c)));
		return true;
	case CFA_OFFSET_EXTENDED_SF:
		set_saved(m, reg, PLACE_AT_CFA, factored(m, cursor_read_sleb(c)));
		return true;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		set_saved(m, reg, PLACE_AT_CFA, factored(m, -read_operand(c)));
		return true;
	case CFA_RESTORE_EXTENDED:
		restore_initial(m, reg);
		return true;
	case CFA_UNDEFINED:
		set_saved(m, reg, PLACE_UNDEFINED, 0);
		return true;
	case CFA_SAME_VALUE:
		set_saved(m, reg, PLACE_SAME, 0);
		return true;
	case CFA_REGISTER:
	case CFA_VAL_OFFSET:
	case CFA_VAL_OFFSET_SF: /* as long unsigned as signed */
		cursor_read_uleb(c);
		set_saved(m, reg, PLACE_OTHER, 0);
		return true;
	case CFA_EXPRESSION:
		apply_saved_expression(m, reg);
		return true;
	case CFA_VAL_EXPRESSION:
		cursor_read_block(c);
		set_saved(m, reg, PLACE_OTHER, 0);
		return true;
	}
	return false;
}

static enum outcome execute_state(struct machine *m, uint8_t opcode)
{
	struct cursor *c = m->code;
	if (opcode == ARCH_CFA_IGNORED)
		return GO_ON;
	switch (opcode) {
	case CFA_NOP:
		return GO_ON;
	case CFA_SET_LOC:
		return advance_to(m, cursor_read_pointer(c, m->entry.pointer_encoding));
	case CFA_ADVANCE_LOC1:
		return advance_by(m, cursor_read_u8(c));
	case CFA_ADVANCE_LOC2:
		return advance_by(m, cursor_read_u16(c));
	case CFA_ADVANCE_LOC4:
		return advance_by(m, cursor_read_u32(c));
	case CFA_GNU_ARGS_SIZE:
		cursor_read_uleb(c);
		return GO_ON;
	case CFA_REMEMBER_STATE:
		if (m->remembered_count == MAX_REMEMBERED)
			return GIVE_UP;
		m->remembered[m->remembered_count++] = m->row;
		return GO_ON;
	case CFA_RESTORE_STATE:
		if (!m->remembered_count)
			return GIVE_UP;
		m->row = m->remembered[--m->remembered_count];
		return GO_ON;
	}
	return GIVE_UP;
}

static enum outcome execute(struct machine *m)
{
	struct cursor *c = m->code;
	uint8_t opcode = cursor_read_u8(c);
	switch (opcode & 0xc0) {
	case CFA_ADVANCE_LOC:
		return advance_by(m, opcode & 0x3f);
	case CFA_OFFSET:
		set_saved(m, opcode & 0x3f, PLACE_AT_CFA, factored(m, read_operand(c)));
		return GO_ON;
	case CFA_RESTORE:
		restore_initial(m, opcode & 0x3f);
		return GO_ON;
	}
	switch (opcode) {
	case CFA_DEF_CFA ... CFA_DEF_CFA_EXPRESSION:
	case CFA_DEF_CFA_SF:
	case CFA_DEF_CFA_OFFSET_SF:
		return execute_cfa(m, opcode) ? GO_ON : GIVE_UP;
	case CFA_OFFSET_EXTENDED ... CFA_REGISTER:
	case CFA_EXPRESSION:
	case CFA_OFFSET_EXTENDED_SF:
	case CFA_VAL_OFFSET ... CFA_VAL_EXPRESSION:
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		return execute_register(m, opcode) ? GO_ON : GIVE_UP;
	}
	return execute_state(m, opcode);
}

/* Up to the row that covers m->pc, or the program's end: its last row covers the rest. */
static bool run(struct machine *m, struct cursor *program)
{
	m->code = program;
	enum outcome outcome = GO_ON;
	while (outcome == GO_ON && program->at < program->end)
		outcome = m->instructions_left-- ? execute(m) : GIVE_UP;
	return outcome != GIVE_UP && !cursor_is_broken(program);
}

/* Believes the mark only if the CFI describes the kernel's frame, for that is what a walk reads. */
static bool is_kernel_signal_frame(const struct row *row)
{
	return row->cfa_form == CFA_IS_LOADED && row->cfa_base == BASE_SP &&
	       row->cfa_offset == ARCH_SIGNAL_SP && !row->cfa_addend && row->fp == PLACE_AT_SP &&
	       row->fp_offset == ARCH_SIGNAL_FP && row->ra == PLACE_AT_SP &&
	       row->ra_offset == ARCH_SIGNAL_PC;
}

static enum cfi_fp fp_of(const struct row *row)
{
	if (row->fp == PLACE_SAME)
		return CFI_FP_SAME;
	if (row->fp_offset == OFFSET_UNKNOWN)
		return CFI_FP_LOST;
	if (row->fp == PLACE_AT_CFA)
		return CFI_FP_AT_CFA;
	return row->fp == PLACE_AT_FP ? CFI_FP_AT_FP : CFI_FP_LOST;
}

static bool is_known_cfa(const struct row *row)
{
	if (row->cfa_base == BASE_OTHER || row->cfa_offset == OFFSET_UNKNOWN)
		return false;
	return row->cfa_form == CFA_IS_BASE ||
	       (row->cfa_form == CFA_IS_LOADED && row->cfa_base != BASE_THIRD);
}

/* Where the architecture can have put it, and a step can say so. */
static bool is_known_ra(const struct row *row)
{
	if (row->ra == PLACE_SAME)
		return ARCH_HAS_LINK;
	if (row->ra != PLACE_AT_CFA || row->ra_offset == OFFSET_UNKNOWN)
		return false;
	return ARCH_HAS_LINK || row->ra_offset == ARCH_RA_FROM_CFA;
}

static enum cfi_verdict judge(bool is_signal_frame, const struct row *row, struct cfi_step *step)
{
	if (is_signal_frame)
		return is_kernel_signal_frame(row) ? CFI_SIGNAL : CFI_UNSUPPORTED;
	if (row->ra == PLACE_UNDEFINED)
		return CFI_END;
	if (!is_known_ra(row) || !is_known_cfa(row))
		return CFI_UNSUPPORTED;
	step->cfa_offset = row->cfa_offset;
	step->cfa_addend = row->cfa_addend;
	step->base_is_fp = row->cfa_base == BASE_FP;
	step->base_is_third = row->cfa_base == BASE_THIRD;
	step->dereferenced = row->cfa_form == CFA_IS_LOADED;
	step->ra_in_register = row->ra == PLACE_SAME;
	step->ra_offset = step->ra_in_register ? 0 : row->ra_offset;
	step->fp = fp_of(row);
	step->fp_offset =
		step->fp == CFI_FP_AT_CFA || step->fp == CFI_FP_AT_FP ? row->fp_offset : 0;
	return CFI_STEP;
}

enum cfi_verdict cfi_find(const struct cfi_object *object, uintptr_t pc, struct cfi_step *step)
{
	struct machine m;
	enum cfi_verdict verdict = eh_frame_find(object, pc, &m.entry);
	if (verdict != CFI_STEP)
		return verdict;
	m.pc = pc;
	m.location = 0; /* the common program has no location; it describes the first row of all */
	m.instructions_left = MAX_INSTRUCTIONS;
	m.remembered_count = 0;
	m.row = m.initial = (struct row){.cfa_form = CFA_UNSET};
	if (!run(&m, &m.entry.common_program))
		return CFI_UNSUPPORTED;
	m.initial = m.row;
	m.location = m.entry.code_start;
	if (!run(&m, &m.entry.own_program))
		return CFI_UNSUPPORTED;
	return judge(m.entry.is_signal_frame, &m.row, step);
}

bool cfi_begins(const struct cfi_object *object, uintptr_t pc)
{
	return eh_frame_begins(object, pc);
}
