"""Tests of the mobile node."""
