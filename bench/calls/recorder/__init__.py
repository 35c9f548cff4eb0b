"""Records what Chromium sends in L3T3_KEY, for `bench/calls/recorded`. Nobody needs it to run the bench."""
