// spprof.h from C++: compiles, links without an agent, and finds one that is preloaded.
#include <cstdio>
#include "spprof/spprof.h"

int main()
{
	struct spprof_stats stats;
	int error = spprof_stats(&stats);

	std::printf("%s\n", error == SPPROF_OK ? "loaded" : "alone");
	return 0;
}
