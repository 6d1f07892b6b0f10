# Unit tests of agent.
