"""`bench calls`: what a forwarded packet costs an SFU, ours beside others, with real media and real signalling."""
