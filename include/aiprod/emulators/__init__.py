"""The vendors as local servers with faults: what a rehearsal buys from. Nobody in the library knows them."""
