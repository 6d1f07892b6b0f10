/*
 * The entry points of operator new and delete, as far as the rest of the agent knows them. Called
 * once, by lifecycle, while it sets up.
 */
#pragma once

/* Finds out by one block whether the C++ runtime's own forms end in our malloc and free. If so they
 * are jumped to from then on. After everything else is set up, before anything is sampled. */
void interpose_new_try(void);
