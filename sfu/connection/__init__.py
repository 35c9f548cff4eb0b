"""A client's peer connection(s) as we see them: transports of the engine plus the negotiation that describes them."""
