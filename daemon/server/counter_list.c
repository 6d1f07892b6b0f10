#include "server/counter_list.h"

#include <stdlib.h>

#include "base/alloc.h"

void counter_list_deinit(struct counter_list *list)
{
	free(list->items);
	free(list->pointers);
	*list = COUNTER_LIST_INIT;
}

void counter_list_add(struct counter_list *list, const char *name, double value, const char *help)
{
	ALLOC_GROW(list->items, list->room, list->count);
	Spprof__V1__Counter *counter = &list->items[list->count++];
	spprof__v1__counter__init(counter);
	counter->name = (char *)name;
	counter->value = value;
	counter->help = (char *)help;
}

void counter_list_lend(struct counter_list *list, Spprof__V1__StatsResponse *message)
{
	list->pointers = alloc_resize(list->pointers, list->count + 1, sizeof(*list->pointers));
	for (size_t i = 0; i < list->count; i++)
		list->pointers[i] = &list->items[i];
	message->n_counters = list->count;
	message->counters = list->pointers;
}
