"""Programs that a person or CI starts from a checkout: lab, demo, tests, benches."""
