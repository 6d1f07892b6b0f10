#include "python/layout.h"
#include "spprof/wire/definitions.h"

#define TOLD_COOKIE UINT64_C(0x7970677562656478) /* "xdebugpy" */
#define TOLD_MAX    4096			 /* no structure that is read is larger */

/* clang-format off */
static const struct layout known[] = {
	{.version = 0x309, .chain = LAYOUT_FRAME_OBJECTS, .lines = WIRE_CODE_LNOTAB, .lasti_bytes = 1, .kind_shift = 2,
		.state_frame = 24, .frame_code = 32, .frame_previous = 24, .frame_lasti = 104,
		.code_first_line = 40, .code_file = 104, .code_name = 112, .code_lines = 120,
		.object_type = 8, .type_basic_size = 32, .bytes_size = 16, .bytes_data = 32,
		.string_length = 16, .string_hash = 24, .string_state = 32, .string_ascii = 48, .string_compact = 72,
		.code_object_size = 176},
	{.version = 0x30a, .chain = LAYOUT_CFRAMES, .lines = WIRE_CODE_LINETABLE, .lasti_bytes = 2, .kind_shift = 2,
		.state_frame = 24, .state_cframe = 48, .cframe_previous = 8,
		.frame_code = 32, .frame_previous = 24, .frame_lasti = 96,
		.code_first_line = 40, .code_file = 104, .code_name = 112, .code_lines = 120,
		.object_type = 8, .type_basic_size = 32, .bytes_size = 16, .bytes_data = 32,
		.string_length = 16, .string_hash = 24, .string_state = 32, .string_ascii = 48, .string_compact = 72,
		.code_object_size = 176},
	{.version = 0x30b, .chain = LAYOUT_ENTRY_FRAMES, .lines = WIRE_CODE_LOCATIONS, .lasti_is_pointer = true,
		.kind_shift = 2, .cframe_holds_frame = true,
		.state_cframe = 56, .cframe_frame = 8, .cframe_previous = 16,
		.frame_code = 32, .frame_previous = 48, .frame_lasti = 56, .frame_owner = 68,
		.code_first_line = 72, .code_file = 112, .code_name = 128, .code_lines = 136, .code_bytes = 184,
		.object_type = 8, .type_basic_size = 32, .bytes_size = 16, .bytes_data = 32,
		.string_length = 16, .string_hash = 24, .string_state = 32, .string_ascii = 48, .string_compact = 72,
		.code_object_size = 184},
	{.version = 0x30c, .chain = LAYOUT_SHIMS, .lines = WIRE_CODE_LOCATIONS, .lasti_is_pointer = true,
		.kind_shift = 2, .cframe_holds_frame = true, .first_shim_owner = 3,
		.state_cframe = 56, .cframe_frame = 0, .cframe_previous = 8,
		.frame_code = 0, .frame_previous = 8, .frame_lasti = 56, .frame_owner = 70,
		.code_first_line = 68, .code_file = 112, .code_name = 128, .code_lines = 136, .code_bytes = 192,
		.code_version = 92,
		.object_type = 8, .type_basic_size = 32, .bytes_size = 16, .bytes_data = 32,
		.string_length = 16, .string_hash = 24, .string_state = 32, .string_ascii = 40, .string_compact = 56,
		.code_object_size = 192},
};
/* clang-format on */

bool layout_known(uint32_t version, struct layout *out)
{
	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
		if (known[i].version == version) {
			*out = known[i];
			return true;
		}
	return false;
}

/* Where in the words that are told the structures begin that we look at; each first tells its size. */
struct told_places {
	uint16_t thread, frame, code, object, bytes, string;
	int8_t copy, copies; /* behind the beginning of frame and code; 0: none */
};

static const struct told_places places_313 = {19, 28, 34, 44, 64, 67, 0, 0};
static const struct told_places places_314 = {22, 31, 39, 50, 74, 77, 7, 10};

static bool all_are_near(const uint64_t *told, const struct told_places *places)
{
	for (unsigned i = places->thread; i < places->string + 4u; i++)
		if (told[i] >= TOLD_MAX)
			return false;
	return true;
}

static void take_told(const uint64_t *told, const struct told_places *p, struct layout *out)
{
	const uint64_t *thread = told + p->thread, *frame = told + p->frame, *code = told + p->code;
	const uint64_t *bytes = told + p->bytes, *string = told + p->string;

	out->state_frame = (uint16_t)thread[4];
	out->frame_previous = (uint16_t)frame[1];
	out->frame_code = (uint16_t)frame[2];
	out->frame_lasti = (uint16_t)frame[3];
	out->frame_owner = (uint16_t)frame[5];
	out->code_file = (uint16_t)code[1];
	out->code_name = (uint16_t)code[3];
	out->code_lines = (uint16_t)code[4];
	out->code_first_line = (uint16_t)code[5];
	out->code_bytes = (uint16_t)code[9];
	out->object_type = (uint16_t)told[p->object + 1];
	out->bytes_size = (uint16_t)bytes[1];
	out->bytes_data = (uint16_t)bytes[2];
	out->string_state = (uint16_t)string[1];
	out->string_length = (uint16_t)string[2];
	out->string_ascii = (uint16_t)string[3];
	if (out->free_threaded && p->copies) {
		out->frame_copy = (uint16_t)frame[p->copy];
		out->code_copies = (uint16_t)code[p->copies];
	}
}

/* What is not told follows from what is. */
static void conclude(struct layout *out)
{
	out->chain = LAYOUT_SHIMS;
	out->lines = WIRE_CODE_LOCATIONS;
	out->lasti_is_pointer = true;
	out->first_shim_owner = 3;
	/* Behind the first line stand five more ints, then the version. */
	out->code_version = (uint16_t)(out->code_first_line + 24);
	out->string_hash = (uint16_t)(out->string_length + 8);
	/* Before the data of one that is not ASCII stand the length and the pointer of its UTF-8. */
	out->string_compact = (uint16_t)(out->string_ascii + 16);
	out->type_basic_size = (uint16_t)(out->bytes_data);
	out->kind_shift = out->free_threaded && out->version >= 0x30e ? 8 : 2;
	out->code_object_size = out->code_bytes;
}

bool layout_told(uint32_t version, const uint64_t *told, struct layout *out)
{
	const struct told_places *places = version == 0x30d   ? &places_313
					   : version == 0x30e ? &places_314
							      : NULL;

	if (!places || told[0] != TOLD_COOKIE || told[1] >> 16 != version || told[2] > 1 ||
		!all_are_near(told, places))
		return false;
	*out = (struct layout){.version = version, .free_threaded = told[2] == 1};
	take_told(told, places, out);
	conclude(out);
	return true;
}
