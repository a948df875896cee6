"""How many random cases a test tries; more with ``FUZZ=20000 scripts/test ...``."""

import os

#: Cases of an ordinary property.
CASES = int(os.environ.get("FUZZ", "200"))
#: Cases of "any octets" for a decoder; scripts/check asks for 20,000.
DECODER_CASES = max(CASES, int(os.environ.get("FUZZ_DECODERS", "200")))
