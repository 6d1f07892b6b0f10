/*
 * The daemon's side of tests/model/announce_model.c: rounds over the rings, what it remembers of
 * deaths, the resyncs that it asks for and sweeps after, its restart. Each function is one step;
 * the daemon's stores are visible at once, since a request that is seen late is only a later
 * request.
 */
#pragma once
#include "model/announce_state.h"

/* Its share of a round at one ring: the head is read once and drained exactly to it; after the last
 * ring, the round's end. Returns the number of records. */
unsigned announce_daemon_drain(struct state *state, const struct announce_config *config);
/* False: not now. */
bool announce_daemon_request(struct state *state, const struct announce_config *config);
/* Its memory is lost; a new one goes on from the tails. False: not any more. */
bool announce_daemon_restart(struct state *state, const struct announce_config *config);
