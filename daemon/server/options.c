/*
 * One table drives parsing; --help is written by hand, because it is read by people. The
 * environment is read by secure_getenv: a daemon made setuid by mistake must not take paths from
 * its caller.
 */
#include "config.h"
#include "server/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/socket_dir.h"

const struct options_limits options_default_limits = {
	.max_live = 1u << 18,
	.max_stacks = 1u << 16,
	.max_stack_bytes = UINT64_C(32) << 20,
	.max_memory = UINT64_C(1) << 30,
	.max_workers = 4096,
	.keep_exited = 64,
	.keep_exited_s = 3600,
};

enum option_key {
	OPT_SOCKET_DIR = 256,
	OPT_GROUP,
	OPT_LOG_LEVEL,
	OPT_READY_FD,
	OPT_EXIT_WITH_PARENT,
	OPT_EXIT_WITH_PID,
	OPT_MAX_LIVE,
	OPT_MAX_STACKS,
	OPT_MAX_STACK_BYTES,
	OPT_MAX_MEMORY,
	OPT_MAX_WORKERS,
	OPT_KEEP_EXITED,
	OPT_KEEP_EXITED_S,
};

static const struct option known[] = {
	{"socket-dir", required_argument, NULL, OPT_SOCKET_DIR},
	{"group", required_argument, NULL, OPT_GROUP},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"ready-fd", required_argument, NULL, OPT_READY_FD},
	{"exit-with-parent", no_argument, NULL, OPT_EXIT_WITH_PARENT},
	{"exit-with-pid", required_argument, NULL, OPT_EXIT_WITH_PID},
	{"max-live", required_argument, NULL, OPT_MAX_LIVE},
	{"max-stacks", required_argument, NULL, OPT_MAX_STACKS},
	{"max-stack-bytes", required_argument, NULL, OPT_MAX_STACK_BYTES},
	{"max-memory", required_argument, NULL, OPT_MAX_MEMORY},
	{"max-workers", required_argument, NULL, OPT_MAX_WORKERS},
	{"keep-exited", required_argument, NULL, OPT_KEEP_EXITED},
	{"keep-exited-seconds", required_argument, NULL, OPT_KEEP_EXITED_S},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static void print_help(void)
{
	printf("Usage: spprofd [OPTION]...\n"
	       "Collects the heap samples of processes that run under the spprof agent and answers "
	       "spprofctl.\n"
	       "\n"
	       "      --socket-dir=DIR          sockets are made in DIR (default: $SPPROF_SOCKET, "
	       "else\n"
	       "                                /run/spprofd for root, $XDG_RUNTIME_DIR/spprofd "
	       "or\n"
	       "                                /tmp/spprofd-UID for a user)\n"
	       "      --group=NAME              members of group NAME may ask about every process\n"
	       "      --log-level=LEVEL         error, warning, info or debug (default: "
	       "$SPPROF_LOG, else "
	       "warning)\n"
	       "      --ready-fd=N              write \"ready\" to descriptor N once serving\n"
	       "      --exit-with-parent        end when the process that started spprofd ends\n"
	       "      --exit-with-pid=PID       end when process PID ends\n"
	       "\n"
	       "Bounds (what is over a bound is folded into \"[other]\" and counted):\n"
	       "      --max-live=N              live samples per process (default %u)\n"
	       "      --max-stacks=N            distinct stacks per process (default %u)\n"
	       "      --max-stack-bytes=SIZE    memory for these (default %lluM)\n"
	       "      --max-memory=SIZE         memory for the models of all processes (default "
	       "%lluM)\n"
	       "      --max-workers=N           processes attached at the same time (default %u)\n"
	       "      --keep-exited=N           ended processes kept for snapshots (default %u)\n"
	       "      --keep-exited-seconds=N   and for how long (default %u)\n"
	       "\n"
	       "  -h, --help                    print this help and exit\n"
	       "  -V, --version                 print the version and exit\n"
	       "\n"
	       "SIZE is in bytes; K, M and G multiply by powers of 1024.\n",
		options_default_limits.max_live, options_default_limits.max_stacks,
		(unsigned long long)options_default_limits.max_stack_bytes >> 20,
		(unsigned long long)options_default_limits.max_memory >> 20,
		options_default_limits.max_workers, options_default_limits.keep_exited,
		options_default_limits.keep_exited_s);
}

static int usage_error(const char *option, const char *value, const char *expected)
{
	fprintf(stderr,
		"spprofd: --%s: '%s' is not %s\nTry 'spprofd --help' for more information.\n",
		option, value, expected);
	return -EINVAL;
}

int options_parse_size(const char *text, uint64_t *out)
{
	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	char *end;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno != 0)
		return -EINVAL;
	unsigned shift = 0;
	if (*end != '\0') {
		static const char units[] = "KMG";
		const char *unit = strchr(units, *end & ~0x20);
		if (unit == NULL || *unit == '\0' || end[1] != '\0')
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (number > UINT64_MAX >> shift)
		return -EINVAL;
	*out = (uint64_t)number << shift;
	return 0;
}

static int parse_size(const char *option, const char *text, uint64_t minimum, uint64_t *out)
{
	uint64_t value;
	if (options_parse_size(text, &value) < 0)
		return usage_error(option, text, "a size such as 64M");
	if (value < minimum)
		return usage_error(option, text, "large enough");
	*out = value;
	return 0;
}

static int parse_count(const char *option, const char *text, uint32_t minimum, uint32_t *out)
{
	uint64_t value;
	if (options_parse_size(text, &value) < 0 || value > INT32_MAX)
		return usage_error(option, text, "a number");
	if (value < minimum)
		return usage_error(option, text, "large enough");
	*out = (uint32_t)value;
	return 0;
}

static int parse_descriptor(const char *option, const char *text, int *out)
{
	uint32_t number;
	int r = parse_count(option, text, 0, &number);
	if (r < 0)
		return r;
	*out = (int)number;
	return 0;
}

static void replace(char **string, const char *value)
{
	free(*string);
	*string = alloc_strdup(value);
}

static int apply(struct options *options, int key, const char *option, const char *value)
{
	struct options_limits *limits = &options->limits;
	switch (key) {
	case OPT_SOCKET_DIR:
		replace(&options->socket_dir, value);
		return 0;
	case OPT_GROUP:
		replace(&options->group, value);
		return 0;
	case OPT_LOG_LEVEL:
		if (log_parse_level(value, &options->log_level) < 0)
			return usage_error(option, value, "error, warning, info or debug");
		return 0;
	case OPT_READY_FD:
		return parse_descriptor(option, value, &options->ready_fd);
	case OPT_EXIT_WITH_PARENT:
		options->exit_with_parent = true;
		return 0;
	case OPT_EXIT_WITH_PID:
		return parse_count(option, value, 1, &options->exit_with_pid);
	case OPT_MAX_LIVE:
		return parse_count(option, value, 1, &limits->max_live);
	case OPT_MAX_STACKS:
		return parse_count(option, value, 1, &limits->max_stacks);
	case OPT_MAX_STACK_BYTES:
		return parse_size(option, value, 4096, &limits->max_stack_bytes);
	case OPT_MAX_MEMORY:
		return parse_size(option, value, UINT64_C(1) << 20, &limits->max_memory);
	case OPT_MAX_WORKERS:
		return parse_count(option, value, 1, &limits->max_workers);
	case OPT_KEEP_EXITED:
		return parse_count(option, value, 0, &limits->keep_exited);
	case OPT_KEEP_EXITED_S:
		return parse_count(option, value, 0, &limits->keep_exited_s);
	default:
		/* getopt_long has printed what is wrong. */
		fprintf(stderr, "Try 'spprofd --help' for more information.\n");
		return -EINVAL;
	}
}

/* In a build tree the helper lies beside us, in an installed one that was moved across from bin/; NULL if
 * it does not. */
static char *helper_near_us(const char *name)
{
	static const char *const places[] = {"", "../libexec/spprof/"};
	char self[PATH_MAX], *path;
	ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
	if (size <= 0)
		return NULL;
	self[size] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		if (asprintf(&path, "%s/%s%s", self, places[i], name) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

static int find_helper(const char *name, char **out)
{
	const char *libexec = secure_getenv("SPPROF_LIBEXECDIR");
	if (libexec == NULL || *libexec == '\0') {
		*out = helper_near_us(name);
		if (*out != NULL)
			return 0;
		libexec = SPPROF_LIBEXECDIR;
	}
	return asprintf(out, "%s/%s", libexec, name) < 0 ? -ENOMEM : 0;
}

static int apply_environment(struct options *options)
{
	const char *level = secure_getenv("SPPROF_LOG");
	if (level != NULL && *level != '\0' && log_parse_level(level, &options->log_level) < 0) {
		fprintf(stderr, "spprofd: SPPROF_LOG: '%s' is not error, warning, info or debug\n",
			level);
		return -EINVAL;
	}
	const char *directory = secure_getenv("SPPROF_SOCKET");
	if (directory != NULL && *directory != '\0')
		replace(&options->socket_dir, directory);
	int r = find_helper("spprof-symbolizer", &options->symbolizer);
	if (r == 0)
		r = find_helper("spprof-map-reader", &options->map_reader);
	return r < 0 ? r : find_helper("spprof-proc-reader", &options->proc_reader);
}

int options_parse(struct options *options, int argc, char **argv)
{
	*options = (struct options){
		.log_level = LOG_LEVEL_WARNING, .ready_fd = -1, .limits = options_default_limits};
	int r = apply_environment(options);
	int key, index = 0;
	while (r == 0 && (key = getopt_long(argc, argv, "hV", known, &index)) != -1) {
		if (key == 'h') {
			print_help();
			return OPTIONS_DONE;
		}
		if (key == 'V') {
			printf("spprofd %s\n", PACKAGE_VERSION);
			return OPTIONS_DONE;
		}
		r = apply(options, key, known[index].name, optarg);
	}
	if (r < 0)
		return r;
	if (optind < argc) {
		fprintf(stderr,
			"spprofd: unexpected argument '%s'\nTry 'spprofd --help' for more "
			"information.\n",
			argv[optind]);
		return -EINVAL;
	}
	if (options->socket_dir == NULL)
		options->socket_dir =
			socket_dir_default(geteuid(), secure_getenv("XDG_RUNTIME_DIR"));
	return 0;
}

void options_deinit(struct options *options)
{
	free(options->socket_dir);
	free(options->symbolizer);
	free(options->map_reader);
	free(options->proc_reader);
	free(options->group);
	*options = (struct options){.ready_fd = -1};
}
