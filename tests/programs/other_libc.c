/* A program for another C library than glibc: the agent must leave it alone. Ends with 5. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *churn(void *unused)
{
	void *kept = NULL;

	(void)unused;
	for (int i = 0; i < 20000; i++) {
		void *block = realloc(malloc(i % 3000), i % 4000 + 1);

		free(block);
		if (posix_memalign(&kept, 64, 100) == 0)
			free(kept);
	}
	return calloc(3, 4);
}

int main(void)
{
	pthread_t threads[4];
	void *block;
	int right = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &block);
		right += block != NULL;
		free(block);
	}
	printf("%d threads allocated\n", right);
	return 5;
}
