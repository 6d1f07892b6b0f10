/* A program that comes to its interpreter late: python_embedder LIBPYTHON global|local SOURCE runs SOURCE in it. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	int scope = strcmp(argv[2], "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL;
	void *library = dlopen(argv[1], RTLD_LAZY | scope);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	void (*start)(int) = (void (*)(int))dlsym(library, "Py_InitializeEx");
	int (*run)(const char *, void *) =
		(int (*)(const char *, void *))dlsym(library, "PyRun_SimpleStringFlags");
	int (*end)(void) = (int (*)(void))dlsym(library, "Py_FinalizeEx");
	if (!start || !run || !end)
		return 1;
	start(0);
	int failed = run(argv[3], NULL);
	return end() != 0 || failed;
}
