/*
 * An interpreter is recognised by its functions' names and believed only if everything else fits: a release of a
 * minor version that is known, and a code object of the size that belongs to its layout. A debug build fails that, for
 * each of its objects is larger.
 */
#define _GNU_SOURCE
#include "python/runtime.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include "platform/linux/next_allocator.h"
#include "python/codes.h"
#include "python/thread_states.h"
#include "scratch_pool.h"
#include "segment.h"

/* Not every libc has it. */
#pragma weak dladdr1

#define RELEASE_FINAL 0xfu

_Atomic(const struct runtime *) runtime_found;

enum { STAGE_OFF, STAGE_SEEKING, STAGE_LOOKING, STAGE_DONE };

static struct runtime runtime;
static _Atomic uint32_t stage, verdict, version;
static bool wants_frames; /* written once, while setting up */

static uint32_t number(const char **text)
{
	uint32_t value = 0;

	for (; **text >= '0' && **text <= '9' && value < 100; ++*text)
		value = value * 10 + (uint32_t)(**text - '0');
	return value;
}

/* "3.9.18 (main, ...)", "3.9.0rc2 (...)", "3.9.18+ (...)" as PY_VERSION_HEX; what is no release is an alpha. */
static uint32_t parse_version(const char *text)
{
	uint32_t parts[3] = {0};

	for (int i = 0; i < 3; i++) {
		parts[i] = number(&text);
		if (i < 2 && *text++ != '.')
			return 0;
	}
	uint32_t level = *text == ' ' || *text == '+' ? RELEASE_FINAL : 0xa;
	return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | level << 4;
}

static uint32_t version_of(void *object)
{
	const unsigned long *hex = dlsym(object, "Py_Version"); /* from 3.11 on */
	if (hex)
		return (uint32_t)*hex;
	const char *(*text)(void) = (const char *(*)(void))dlsym(object, "Py_GetVersion");
	return text ? parse_version(text()) : 0;
}

static bool find_layout(void *object, uint32_t hex, struct layout *layout)
{
	const uint64_t *told = dlsym(object, "_PyRuntime");

	return hex >> 16 < 0x30d ? layout_known(hex >> 16, layout)
				 : told && layout_told(hex >> 16, told, layout);
}

/* The type object is read only once the layout says where. */
static bool is_proven(const struct layout *layout, uintptr_t code_type)
{
	return code_type &&
	       *(const uint64_t *)(code_type + layout->type_basic_size) == layout->code_object_size;
}

static void find_evaluator(void *object)
{
	void *start = dlsym(object, "_PyEval_EvalFrameDefault");
	const ElfW(Sym) *symbol = NULL;
	Dl_info info;

	if (!start || !dladdr1 || !dladdr1(start, &info, (void **)&symbol, RTLD_DL_SYMENT) ||
		!symbol)
		return;
	runtime.evaluator_start = (uintptr_t)start;
	runtime.evaluator_end = (uintptr_t)start + symbol->st_size;
}

static bool find_functions(void *object)
{
	/* The first is that of 3.13 on, the second that of 3.9 to 3.12. */
	void *finalizing = dlsym(object, "Py_IsFinalizing");
	struct thread_states states;

	if (!finalizing)
		finalizing = dlsym(object, "_Py_IsFinalizing");
	if (!finalizing || !thread_states_find(object, &states))
		return false;
	runtime.current_state = states.current;
	runtime.own_state = states.own;
	runtime.is_finalizing = (int (*)(void))finalizing;
	runtime.code_type = (uintptr_t)dlsym(object, "PyCode_Type");
	return true;
}

static enum wire_python judge(void *object, uint32_t hex)
{
	if (!wants_frames)
		return WIRE_PYTHON_OFF;
	if ((hex >> 4 & 0xf) != RELEASE_FINAL || hex >> 16 < 0x309 || hex >> 16 > 0x30e)
		return WIRE_PYTHON_VERSION;
	if (!find_functions(object) || !find_layout(object, hex, &runtime.layout) ||
		!is_proven(&runtime.layout, runtime.code_type) || !codes_init() ||
		!scratch_pool_make_mixed())
		return WIRE_PYTHON_LAYOUT;
	if (runtime.layout.chain == LAYOUT_FRAME_OBJECTS)
		find_evaluator(object);
	return WIRE_PYTHON_FRAMES;
}

/* Its C API has other names, and nothing behind them that could be read. */
static bool is_pypy(void *object)
{
	if (!dlsym(object, "pypy_execute_source"))
		return false;
	/* relaxed: for a person. */
	atomic_store_explicit(&verdict, WIRE_PYTHON_LAYOUT, memory_order_relaxed);
	return true;
}

static bool look_in(void *object)
{
	if (!dlsym(object, "PyGILState_GetThisThreadState"))
		return is_pypy(object);
	uint32_t hex = version_of(object);
	enum wire_python found = judge(object, hex);
	/* relaxed: for a person. */
	atomic_store_explicit(&version, hex, memory_order_relaxed);
	atomic_store_explicit(&verdict, found, memory_order_relaxed);
	if (found == WIRE_PYTHON_FRAMES)
		/* [PY-1] release: all of `runtime`; pairs with the acquire in runtime_current. */
		atomic_store_explicit(&runtime_found, &runtime, memory_order_release);
	return true;
}

static void enter(uint32_t next)
{
	/* relaxed: see the header's table. */
	atomic_store_explicit(&stage, next, memory_order_relaxed);
}

void runtime_look(bool frames)
{
	wants_frames = frames;
	enter(look_in(RTLD_DEFAULT) ? STAGE_DONE : STAGE_SEEKING);
}

struct search {
	uintptr_t address;
	void *object;
};

static bool covers(const struct dl_phdr_info *object, uintptr_t address)
{
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD &&
			address - object->dlpi_addr - segment->p_vaddr < segment->p_memsz)
			return true;
	}
	return false;
}

/* By its name, so that most callers cost no look at their symbols. The handle is kept: what was found lies there. */
static int note_object(struct dl_phdr_info *object, size_t size, void *data)
{
	struct search *search = data;
	const char *slash = strrchr(object->dlpi_name, '/');

	(void)size;
	if (!covers(object, search->address))
		return 0;
	if (strstr(slash ? slash : object->dlpi_name, "python"))
		search->object = next_allocator.dlopen(object->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
	return 1;
}

bool runtime_look_at(const void *caller, void **object)
{
	uint32_t seeking = STAGE_SEEKING;
	struct search search = {.address = (uintptr_t)caller};

	/* relaxed: see the header's table. */
	if (atomic_load_explicit(&stage, memory_order_relaxed) != STAGE_SEEKING ||
		!atomic_compare_exchange_strong_explicit(&stage, &seeking, STAGE_LOOKING,
			memory_order_relaxed, memory_order_relaxed))
		return false;
	dl_iterate_phdr(note_object, &search);
	bool found = search.object && look_in(search.object);
	enter(found ? STAGE_DONE : STAGE_SEEKING);
	if (search.object && !found)
		next_allocator.dlclose(search.object);
	*object = search.object;
	return found;
}

void runtime_tell(struct segment *segment)
{
	/* relaxed: for a person. The upper bits are others'. */
	uint32_t found = atomic_load_explicit(&verdict, memory_order_relaxed);
	uint32_t hex = atomic_load_explicit(&version, memory_order_relaxed);

	atomic_fetch_or_explicit(&segment->header->python, found, memory_order_relaxed);
	atomic_store_explicit(&segment->header->python_version, hex, memory_order_relaxed);
}
