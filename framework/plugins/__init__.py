"""Plugins: finding and loading them, checking what they offer, and looking up what a user named."""
