/*
 * Frames at the outermost end of a stack may have no evaluator beside them, since the walk did not come as far, or ended
 * with a coroutine's own stack: the module next to these is not learned from.
 */
#include "server/snapshot_fold.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "server/module_map.h"
#include "server/session_codes.h"
#include "spprof/wire/definitions.h"

#define AGENT "libspprof-agent.so"

enum { NOT_LOOKED_AT, NO_IMPORT, AN_IMPORT };

static bool is_agent(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL && strcmp(slash + 1, AGENT) == 0;
}

void snapshot_fold_init(struct snapshot_fold *fold, const struct session_codes *codes,
	const struct module_map *modules)
{
	uint32_t count = module_map_count(modules);
	*fold = (struct snapshot_fold){.codes = codes, .module_count = count};
	fold->internal = alloc_zeroed(count + (size_t)1, sizeof *fold->internal);
	fold->imports = alloc_zeroed(WIRE_CODES_MAX, sizeof *fold->imports);
	for (uint32_t i = 0; i < count; i++)
		fold->internal[i] = is_agent(module_map_get(modules, i)->path);
}

void snapshot_fold_deinit(struct snapshot_fold *fold)
{
	free(fold->internal);
	free(fold->imports);
	*fold = (struct snapshot_fold){0};
}

static bool is_python(const struct stack_frame *frame)
{
	return frame->module == STACK_MODULE_PYTHON;
}

void snapshot_fold_learn(struct snapshot_fold *fold, const struct stack_view *stack)
{
	uint32_t end = stack->frame_count;
	while (end > 0 && is_python(&stack->frames[end - 1]))
		end--;
	for (uint32_t i = 1; i < end; i++)
		if (is_python(&stack->frames[i]) &&
			stack->frames[i - 1].module < fold->module_count)
			fold->internal[stack->frames[i - 1].module] = 1;
}

static bool has_python(const struct stack_view *stack)
{
	for (uint32_t i = 0; i < stack->frame_count; i++)
		if (is_python(&stack->frames[i]))
			return true;
	return false;
}

/* importlib is frozen into the interpreter, under such names as files. */
static uint8_t judge_import(const struct snapshot_fold *fold, uint32_t code)
{
	static const char file[] = "<frozen importlib._bootstrap";
	struct session_code facts = session_codes_get(fold->codes, code);
	return strncmp(facts.file, file, sizeof file - 1) == 0 ? AN_IMPORT : NO_IMPORT;
}

static bool is_import(struct snapshot_fold *fold, const struct stack_frame *frame)
{
	uint32_t code = is_python(frame) ? stack_table_code(frame->offset) : 0;
	if (code == 0)
		return false;
	if (fold->imports[code] == NOT_LOOKED_AT)
		fold->imports[code] = judge_import(fold, code);
	return fold->imports[code] == AN_IMPORT;
}

static bool is_internal(const struct snapshot_fold *fold, const struct stack_frame *frame)
{
	return frame->module < fold->module_count && fold->internal[frame->module];
}

uint32_t snapshot_fold_apply(
	struct snapshot_fold *fold, const struct stack_view *stack, struct stack_frame *out)
{
	static const struct stack_frame import = {
		.module = STACK_MODULE_PYTHON, .offset = SNAPSHOT_FOLD_IMPORT};
	bool folds = has_python(stack);
	uint32_t count = 0;
	for (uint32_t i = 0; i < stack->frame_count; i++) {
		const struct stack_frame *frame = &stack->frames[i];
		if (folds && is_internal(fold, frame))
			continue;
		if (!is_import(fold, frame))
			out[count++] = *frame;
		else if (count == 0 || out[count - 1].offset != import.offset ||
			 !is_python(&out[count - 1]))
			out[count++] = import;
	}
	return count;
}
