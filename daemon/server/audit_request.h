/* The auditor's question, as a message. One thread (the loop's). */
#pragma once
#include <stdint.h>

struct session_audit_item;
struct symbol_helper;

/* Asks for a verdict on the item, under this number. keys[i]: of the file of the item's module i,
 * which the helper has; 0: none. Notes in the item which modules have a file. 0 or negative errno.
 */
int audit_request_send(struct symbol_helper *helper, uint32_t number,
	struct session_audit_item *item, const uint32_t *keys);
