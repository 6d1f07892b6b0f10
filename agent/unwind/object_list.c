/*
 * Two lists take turns, and one of the objects at load stays. One word names the list in use and
 * changes with every turn; who reads a list looks at that word again afterwards. The loader's lock,
 * which is held while it visits its objects and may be taken again, is the lock of the writers.
 */
#define _GNU_SOURCE
#include "unwind/object_list.h"
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>

enum {
	LISTS = 4, /* [0] stays empty, [INITIAL] stays as it was made */
	INITIAL = 3,
	TURN = LISTS, /* what is added to the current word */
	FIND_TRIES = 4,
};

/* Code, and the segment with its CFI. */
struct entry {
	_Atomic uintptr_t start, end, cfi_start, cfi_end, frame_header;
};

struct list {
	_Atomic uint32_t count;
	struct entry entries[OBJECT_LIST_MAX];
};

typedef int visit_function(struct dl_phdr_info *object, size_t size, void *argument);
typedef int iterate_function(visit_function *visit, void *argument);

static struct list lists[LISTS - 1]; /* of index 1 and up */
static _Atomic uint32_t current;
static _Atomic uint32_t closing;
static _Atomic bool has_rpath;
static _Atomic(iterate_function *) iterate;

static void put(_Atomic uintptr_t *word, uintptr_t value)
{
	/* [OBJECT-2] release: the word that took this list out of use came before; pairs with
	 * OBJECT-2 in get(). */
	atomic_store_explicit(word, value, memory_order_release);
}

static uintptr_t get(const _Atomic uintptr_t *word)
{
	/* [OBJECT-2] acquire: whoever sees a list that is made anew sees that it is out of use;
	 * pairs with OBJECT-2 in put(). */
	return atomic_load_explicit(word, memory_order_acquire);
}

static void copy(struct entry *to, const struct entry *from)
{
	put(&to->start, get(&from->start));
	put(&to->end, get(&from->end));
	put(&to->cfi_start, get(&from->cfi_start));
	put(&to->cfi_end, get(&from->cfi_end));
	put(&to->frame_header, get(&from->frame_header));
}

/* -- making a list -- */

static const ElfW(Phdr) * find_segment(const struct dl_phdr_info *object, uint32_t type)
{
	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == type)
			return &object->dlpi_phdr[i];
	return NULL;
}

/* The segment that is loaded around `address`. */
static const ElfW(Phdr) * find_loaded(const struct dl_phdr_info *object, uintptr_t address)
{
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		if (segment->p_type == PT_LOAD && address - segment->p_vaddr < segment->p_filesz)
			return segment;
	}
	return NULL;
}

/* Relaxed, here and below: the writer reads what it has written. */
static void add_code(struct list *list, const struct dl_phdr_info *object, const ElfW(Phdr) * code)
{
	const ElfW(Phdr) *header = find_segment(object, PT_GNU_EH_FRAME);
	const ElfW(Phdr) *cfi = header ? find_loaded(object, header->p_vaddr) : NULL;
	uintptr_t base = object->dlpi_addr, start = base + code->p_vaddr;
	uint32_t count = atomic_load_explicit(&list->count, memory_order_relaxed);
	if (count == OBJECT_LIST_MAX)
		return;
	struct entry *entry = &list->entries[count];
	put(&entry->start, start);
	put(&entry->end, start + code->p_memsz);
	put(&entry->cfi_start, cfi ? base + cfi->p_vaddr : 0);
	put(&entry->cfi_end, cfi ? base + cfi->p_vaddr + cfi->p_filesz : 0);
	put(&entry->frame_header, cfi ? base + header->p_vaddr : 0);
	/* [OBJECT-2] release: as in put(). */
	atomic_store_explicit(&list->count, count + 1, memory_order_release);
}

static bool carries_rpath(const struct dl_phdr_info *object)
{
	const ElfW(Phdr) *segment = find_segment(object, PT_DYNAMIC);
	if (!segment || object->dlpi_name[0] == '\0') /* the program's own */
		return false;
	const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + segment->p_vaddr);
	for (size_t i = 0; i < segment->p_memsz / sizeof(*entry); i++)
		if (entry[i].d_tag == DT_RPATH)
			return true;
	return false;
}

static int add_object(struct dl_phdr_info *object, size_t size, void *argument)
{
	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_LOAD && object->dlpi_phdr[i].p_flags & PF_X)
			add_code(argument, object, &object->dlpi_phdr[i]);
	if (carries_rpath(object)) /* relaxed: a fact about the host, not about the list */
		atomic_store_explicit(&has_rpath, true, memory_order_relaxed);
	return 0;
}

/* By addresses. Shell's method (1959), for the loader's order is mostly the reverse, which costs
 * an insertion sort the square of the number, with everybody else waiting for the lock. */
static void sort(struct list *list)
{
	uint32_t count = atomic_load_explicit(&list->count, memory_order_relaxed);
	for (uint32_t gap = count / 2; gap > 0; gap /= 2)
		for (uint32_t i = gap; i < count; i++) {
			struct entry moved;
			uint32_t at = i;
			copy(&moved, &list->entries[i]);
			for (; at >= gap && get(&list->entries[at - gap].start) > get(&moved.start);
				at -= gap)
				copy(&list->entries[at], &list->entries[at - gap]);
			copy(&list->entries[at], &moved);
		}
}

static void make(uint32_t index)
{
	struct list *list = &lists[index - 1];
	/* [OBJECT-2] release: as in put(). */
	atomic_store_explicit(&list->count, 0, memory_order_release);
	/* Relaxed: a function of libc's. */
	atomic_load_explicit(&iterate, memory_order_relaxed)(add_object, list);
	sort(list);
}

/* -- under the loader's lock -- */

static void publish(uint32_t index)
{
	/* Relaxed: only holders of the lock write it. */
	uint32_t turn = atomic_load_explicit(&current, memory_order_relaxed) / TURN + 1;
	if (index != INITIAL)
		make(index = 1 + turn % 2);
	/* [OBJECT-1] release: the list before its name; pairs with OBJECT-1 in
	 * object_list_find(). */
	atomic_store_explicit(&current, turn * TURN + index, memory_order_release);
}

/* Called for the first object; 1: no more of them. */
static int locked_update(struct dl_phdr_info *object, size_t size, void *argument)
{
	const int *change = argument;
	(void)object, (void)size;
	/* Relaxed: the lock orders it. */
	uint32_t under_way =
		atomic_fetch_add_explicit(&closing, (uint32_t)*change, memory_order_relaxed) +
		(uint32_t)*change;
	publish(under_way ? INITIAL : 1);
	return 1;
}

/* Dlcloses under way become `change` more. */
static void update(int change)
{
	iterate_function *function = atomic_load_explicit(&iterate, memory_order_relaxed);
	if (function) /* relaxed: as in make() */
		function(locked_update, &change);
}

bool object_list_init(void)
{
	iterate_function *function = (iterate_function *)dlsym(RTLD_NEXT, "dl_iterate_phdr");
	/* Relaxed: as in make(). */
	atomic_store_explicit(&iterate, function, memory_order_relaxed);
	if (!function)
		return false;
	make(INITIAL);
	update(0);
	return true;
}

void object_list_update(void)
{
	update(0);
}

void object_list_close_begin(void)
{
	update(1);
}

void object_list_close_end(void)
{
	update(-1);
}

bool object_list_has_rpath(void)
{
	return atomic_load_explicit(&has_rpath, memory_order_relaxed); /* relaxed: see above */
}

/* -- asking -- */

/* The last entry that does not begin behind pc; NULL: none does. */
static const struct entry *search(const struct list *list, uintptr_t pc)
{
	/* [OBJECT-2] acquire: as in get(). */
	uint32_t low = 0, high = atomic_load_explicit(&list->count, memory_order_acquire);
	if (high > OBJECT_LIST_MAX)
		return NULL;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (get(&list->entries[middle].start) <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &list->entries[low - 1] : NULL;
}

static bool find_in(const struct list *list, uintptr_t pc, struct cfi_object *object)
{
	const struct entry *entry = search(list, pc);
	if (!entry || pc < get(&entry->start) || pc >= get(&entry->end))
		return false;
	object->start = get(&entry->cfi_start);
	object->end = get(&entry->cfi_end);
	object->frame_header = get(&entry->frame_header);
	return true;
}

int object_list_find(uintptr_t pc, struct cfi_object *object)
{
	for (int i = 0; i < FIND_TRIES; i++) {
		/* [OBJECT-1] acquire: the list that it names; pairs with OBJECT-1 in publish(). */
		uint32_t word = atomic_load_explicit(&current, memory_order_acquire);
		if (!(word % TURN))
			return -ENOSYS;
		bool found = find_in(&lists[word % TURN - 1], pc, object);
		/* Relaxed: [OBJECT-2] has ordered it. */
		if (word == atomic_load_explicit(&current, memory_order_relaxed))
			return found ? 0 : -ENOENT;
	}
	return -ENOENT;
}
