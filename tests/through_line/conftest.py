"""The wire and the folder of the live tests."""

from tests.live.conftest import place, wire

__all__ = ["place", "wire"]
