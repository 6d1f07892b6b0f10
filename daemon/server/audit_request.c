#include "server/audit_request.h"
#include "server/session_audit.h"
#include "server/symbol_helper.h"

_Static_assert(SESSION_AUDIT_MODULES <= SPPROF__V1__SYMBOLIZER_BOUND__AUDIT_MAPPINGS &&
		       WIRE_MAX_FRAMES <= SPPROF__V1__SYMBOLIZER_BOUND__AUDIT_FRAMES,
	"an audit keeps the helper's bounds");

static Spprof__V1__SymbolizerAudit__End end_of(uint8_t stop)
{
	switch (stop) {
	case WIRE_STOP_END:
		return SPPROF__V1__SYMBOLIZER_AUDIT__END__OUTERMOST;
	case WIRE_STOP_MAX:
		return SPPROF__V1__SYMBOLIZER_AUDIT__END__LIMIT;
	default:
		return SPPROF__V1__SYMBOLIZER_AUDIT__END__OTHER;
	}
}

static size_t map_files(struct session_audit_item *item, const uint32_t *keys,
	Spprof__V1__SymbolizerMapping *mappings, Spprof__V1__SymbolizerMapping **pointers)
{
	size_t count = 0;
	for (uint32_t i = 0; i < item->module_count; i++) {
		struct session_audit_module *module = &item->modules[i];
		module->has_file = keys[i] != 0;
		if (!module->has_file)
			continue;
		spprof__v1__symbolizer_mapping__init(&mappings[count]);
		mappings[count].file = keys[i];
		mappings[count].address = module->address;
		mappings[count].offset = module->offset;
		pointers[count] = &mappings[count];
		count++;
	}
	return count;
}

int audit_request_send(struct symbol_helper *helper, uint32_t number,
	struct session_audit_item *item, const uint32_t *keys)
{
	Spprof__V1__SymbolizerMapping mappings[SESSION_AUDIT_MODULES];
	Spprof__V1__SymbolizerMapping *pointers[SESSION_AUDIT_MODULES];
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerAudit audit = SPPROF__V1__SYMBOLIZER_AUDIT__INIT;
	request.file = number;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_AUDIT;
	request.audit = &audit;
	audit.pc = item->head.pc;
	audit.sp = item->head.sp;
	audit.fp = item->head.fp;
	audit.stack.data = (uint8_t *)session_audit_stack(item);
	audit.stack.len = item->head.stack_bytes;
	audit.whole = item->whole;
	audit.frames = (uint64_t *)session_audit_frames(item);
	audit.n_frames = item->head.frame_count;
	audit.end = end_of(item->head.stop);
	audit.mappings = pointers;
	audit.n_mappings = map_files(item, keys, mappings, pointers);
	return symbol_helper_send(helper, &request, -1);
}
