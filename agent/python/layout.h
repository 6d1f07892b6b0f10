/*
 * Where CPython's structures have what frames, codes and unicode read of them. For runtime, which asks once; pure.
 *
 * Sources: Include/internal/pycore_frame.h, pycore_interp.h, pycore_code.h and cpython/unicodeobject.h of each minor
 * version, on 64-bit machines, release builds. These places stay within a minor version. From 3.13 on the
 * interpreter tells them itself (_Py_DebugOffsets at the beginning of _PyRuntime).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* How a thread's frames hang together, and what ties them to the evaluator's native frames. */
enum layout_chain {
	LAYOUT_FRAME_OBJECTS, /* 3.9: frame objects, one call of the evaluator each; nothing ties them */
	LAYOUT_CFRAMES, /* 3.10: the same, and beside them a chain of the evaluator's CFrames */
	LAYOUT_ENTRY_FRAMES, /* 3.11: a call's outermost frame is marked; its CFrame is on the stack */
	LAYOUT_SHIMS, /* 3.12 on: a call's frames are followed by one that is on the stack itself */
};

enum {
	LAYOUT_NONE = 0
}; /* there is no such thing; nothing lies at 0 that we look for, but see below */

struct layout {
	uint32_t version; /* PY_VERSION_HEX without micro and release: 0x030b */
	uint8_t chain;	  /* enum layout_chain */
	uint8_t lines;	  /* enum wire_code_lines */
	bool free_threaded;
	bool cframe_holds_frame; /* tstate → CFrame → frame; else tstate → frame */
	bool lasti_is_pointer;	 /* into the code; else a number of bytes or units */
	uint8_t lasti_bytes;	 /* of such a number's unit */
	uint8_t first_shim_owner; /* of LAYOUT_SHIMS: from which owner on a frame is none of Python's */
	uint8_t kind_shift; /* in a string's state: three bits of kind, then compact, then ascii */

	/* thread state */
	uint16_t state_frame;  /* or of its CFrame */
	uint16_t state_cframe; /* or LAYOUT_NONE */
	uint16_t cframe_frame, cframe_previous;
	/* frame; its code may be at 0 */
	uint16_t frame_code, frame_previous, frame_lasti;
	uint16_t frame_owner; /* a byte; of LAYOUT_ENTRY_FRAMES, whether the call begins with it */
	uint16_t frame_copy;  /* which of the code's copies runs; or LAYOUT_NONE */
	/* code object */
	uint16_t code_first_line, code_file, code_name, code_lines;
	uint16_t code_bytes;   /* where lasti points into; or LAYOUT_NONE */
	uint16_t code_version; /* or LAYOUT_NONE */
	uint16_t code_copies;  /* or LAYOUT_NONE */
	/* objects */
	uint16_t object_type, type_basic_size;
	uint16_t bytes_size, bytes_data;
	uint16_t string_length, string_hash, string_state, string_ascii, string_compact;

	uint32_t code_object_size; /* PyCode_Type.tp_basicsize, by which a layout is proven */
};

/* The layout of a version that does not tell; false: not known. */
bool layout_known(uint32_t version, struct layout *out);

enum { LAYOUT_TOLD_WORDS = 81 }; /* of _Py_DebugOffsets, what is looked at */

/* That of one that does. `told` is _PyRuntime; false: it is not what we know. */
bool layout_told(uint32_t version, const uint64_t *told, struct layout *out);
