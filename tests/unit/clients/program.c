#include "config.h"
#include "unit/clients/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define MAX_WORDS 24

static int temporary_file(void)
{
	FILE *file = tmpfile();
	int fd = file ? dup(fileno(file)) : -1;
	if (fd < 0)
		exit(99);
	fclose(file);
	return fd;
}

static int open_terminal(int *program_end)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0)
		exit(99);
	*program_end = open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct winsize size = {.ws_col = 60, .ws_row = 24};
	struct termios plain;
	tcgetattr(*program_end, &plain);
	plain.c_oflag &= ~(tcflag_t)OPOST;
	tcsetattr(*program_end, TCSANOW, &plain);
	ioctl(fd, TIOCSWINSZ, &size);
	return fd;
}

void program_deinit(struct program *program)
{
	free(program->out);
	free(program->err);
	program->out = program->err = NULL;
}

void program_start(struct program *program, const char *const argv[])
{
	int program_end = -1;
	program->out_fd = program->terminal ? open_terminal(&program_end) : temporary_file();
	program_deinit(program);
	if (program->err_fd <= 0)
		program->err_fd = temporary_file();
	program->pid = fork();
	if (program->pid == 0) {
		char path[4096];
		/* nohup and CI runners leave signals ignored; a shell cannot trap those. */
		for (int number = 1; number < 32; number++)
			signal(number, SIG_DFL);
		const char *build = getenv("BUILDDIR");
		snprintf(path, sizeof(path), "%s/%s", build ? build : ".", argv[0]);
		if (program->terminal) {
			setsid();
			ioctl(program_end, TIOCSCTTY, 0);
		}
		dup2(program->terminal ? program_end : program->out_fd, STDOUT_FILENO);
		dup2(program->err_fd, STDERR_FILENO);
		if (program->uid && setuid(program->uid) < 0)
			_exit(1);
		if (program->closed)
			close_range(STDIN_FILENO, STDERR_FILENO, 0);
		execv(path, (char **)argv);
		perror(path);
		_exit(PROGRAM_NOT_STARTED);
	}
	if (program_end >= 0)
		close(program_end);
}

static char *read_all(int fd, bool from_start)
{
	size_t size = 0, capacity = 1 << 16;
	char *text = calloc(1, capacity + 1);
	if (from_start)
		lseek(fd, 0, SEEK_SET);
	for (ssize_t got; size < capacity && (got = read(fd, text + size, capacity - size)) > 0;)
		size += (size_t)got;
	close(fd);
	return text;
}

void program_wait(struct program *program)
{
	/* A terminal holds little: read it before the end, which its EIO tells. */
	if (program->terminal)
		program->out = read_all(program->out_fd, false);
	int status;
	while (waitpid(program->pid, &status, 0) < 0 && errno == EINTR)
		;
	program->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (!program->terminal)
		program->out = read_all(program->out_fd, true);
	program->err = read_all(program->err_fd, true);
}

void program_run(struct program *program, const char *first, ...)
{
	const char *argv[MAX_WORDS] = {first};
	va_list words;
	va_start(words, first);
	for (unsigned i = 1; i < MAX_WORDS - 1 && (argv[i] = va_arg(words, const char *)); i++)
		;
	va_end(words);
	program->terminal = false;
	program->err_fd = 0;
	program_start(program, argv);
	program_wait(program);
}
