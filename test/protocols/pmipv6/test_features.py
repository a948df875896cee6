"""Who takes which messages beside updates and acknowledgements."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6.features import Feature, Features


class HandlerTests(SynchronousTestCase):
    """One handler for each MH type."""

    def test_a_type_has_one_handler(self) -> None:
        """A second one would make the first deaf without a word: it is refused."""
        features = Features()
        first = Feature()
        features.add(first, 7, 13)
        with self.assertRaisesRegex(ValueError, r"two handlers for MH types \[13\]"):
            features.add(Feature(), 13, 16)
        self.assertEqual(features.handlers, {7: first, 13: first})
