/* A record is written into a ring as it is, so every field is set. */
#include "record_encode.h"

void record_encode_birth(struct wire_birth *birth, const struct heap_map_entry *entry,
	const struct stack_view *stack, uint32_t epoch)
{
	uint16_t frames = stack ? stack->frame_count : 0;

	birth->record = (struct wire_record){
		.size = (uint32_t)(sizeof *birth + frames * sizeof birth->frames[0]),
		.type = epoch ? WIRE_LIVE : WIRE_BIRTH,
		.flags = stack ? 0 : WIRE_STACK_NOT_KEPT,
	};
	birth->id = entry->id;
	birth->size_bytes = entry->size_bytes;
	birth->interval_bytes = entry->interval_bytes;
	birth->time_ns = entry->birth_ns;
	birth->address = entry->address;
	birth->tid = entry->tid;
	birth->epoch = epoch;
	birth->module_epoch = stack ? stack->module_epoch : 0;
	birth->frame_count = frames;
	birth->stop = stack ? stack->stop : WIRE_STOP_NO_INFO;
	birth->guessed = stack ? stack->guessed : 0;
}
