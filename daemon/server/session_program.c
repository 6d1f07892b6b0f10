#include "server/session_program.h"

#include <stddef.h>

#include "server/process_image.h"
#include "server/process_texts.h"
#include "server/sample_feed.h"
#include "server/session_claim.h"
#include "server/session_identity.h"
#include "server/session_maps.h"

static void look(struct session_program *program, uint32_t files);

static bool take_maps(struct session_program *program, const struct process_texts *texts)
{
	return session_maps_take(program->maps, texts, sample_feed_epoch(program->feed)) == 0;
}

/* What could not be read when it attached, if it is the program that made the segment. */
static void learn(struct session_program *program, const struct process_texts *texts)
{
	if (take_maps(program, texts) &&
		session_identity_learn(program->identity, texts, program->inner_pid))
		program->learnt(program->data);
}

/* The image tells cheaply that something is different, the mapping tells what. */
static bool differs(struct session_program *program, const struct process_texts *texts)
{
	struct process_image now;
	size_t size;
	if (process_image_of(texts, &now) < 0 ||
		process_image_same(&program->identity->image, &now))
		return false;
	/* What cannot be looked at now is looked at again. */
	if (process_texts_get(texts, PROC_FILE_MAPS, &size) != NULL && take_maps(program, texts))
		program->identity->image = now;
	return true;
}

static void on_image(struct process_texts *texts, void *data)
{
	struct session_program *program = data;
	bool again = false;
	if (program->identity->image.start_ticks == 0)
		learn(program, texts);
	else
		again = differs(program, texts) &&
			!(program->ask.files & PROC_FILE_BIT(PROC_FILE_MAPS));
	process_texts_free(texts);
	if (again)
		look(program, process_image_files | PROC_FILE_BIT(PROC_FILE_MAPS));
}

static void look(struct session_program *program, uint32_t files)
{
	program->ask.files = files;
	program->ask.done = on_image;
	program->ask.data = program;
	process_reader_ask(program->maps->reader, &program->ask, program->maps->process);
}

static bool is_power_of_two(uint32_t number)
{
	return (number & (number - 1)) == 0;
}

void session_program_look(struct session_program *program)
{
	if (program->maps->replaced || program->ask.reader != NULL)
		return;
	if (program->identity->image.start_ticks != 0)
		look(program, process_image_files);
	/* Ever more seldom: after 1, 2, 4 … times as long. */
	else if (is_power_of_two(++program->blind))
		look(program, session_claim_files);
}

void session_program_end(struct session_program *program)
{
	process_reader_forget(&program->ask);
}

bool session_program_is_same(struct session_program *program, const struct process_texts *texts)
{
	struct process_image now;
	if (texts == NULL || program->maps->replaced)
		return !program->maps->replaced;
	/* Newer mappings than we have, and all that an idle worker's stacks can name. */
	return process_image_of(texts, &now) == 0 &&
	       process_image_identical(&program->identity->image, &now) &&
	       take_maps(program, texts);
}
