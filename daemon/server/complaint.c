#include "server/complaint.h"

#define BURST	  10u
#define SECOND_NS UINT64_C(1000000000)

bool complaint_allowed(struct complaint *complaint, uint64_t monotonic_ns)
{
	uint64_t seconds = (monotonic_ns - complaint->since_ns) / SECOND_NS;
	if (seconds > 0) {
		complaint->recent =
			seconds < complaint->recent ? complaint->recent - (unsigned)seconds : 0;
		complaint->since_ns = monotonic_ns;
	}
	if (complaint->recent == BURST)
		return false;
	complaint->recent++;
	return true;
}
